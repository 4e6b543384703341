// Package mapping makes metrics of user_events that know nothing of metrics: the
// configuration says which field is the value and which are attributes. Events may have typed
// fields, described by tracefs, or EventHeader fields, described by each event.
package mapping
