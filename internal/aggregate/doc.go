// Package aggregate holds the stages between the sources and the builder of
// [emit], for what running totals of single processes don't give: [Fold] makes
// totals of services, [Delta] makes what was added since the last delivery.
// Either is an [emit.Sink] before another; where both are wanted, Fold comes first.
//
// A batch goes through a stage between Begin and End. Commit, called after End,
// says that the batch was accepted downstream; without it the next batch tells
// again everything that this one told.
//
// [Measurements] comes before them: sources of events make running totals with it.
package aggregate
