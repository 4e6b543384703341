// Package journal keeps what a collector has read out of measurement rings where its own death does not reach: the rings hold it no
// longer, and totals would fall. It is a file on tmpfs, next to the segments, for the kernel to keep and not for a disk.
//
//	file                                         frame
//	+---------+-------+-------+- - - - -+        +----------+------------+---------+
//	| magic   | frame | frame | frame     |        | size u32 | crc32c u32 | payload |
//	+---------+-------+-------+- - - - -+        +----------+------------+---------+
//
// A payload is entries: a byte that says of what kind, then numbers as varints. A frame is appended with one write, so that what
// belongs together, a ring's position and the values that were read before it, is there or not. What follows the
// last whole frame is cut off. Values are absolute: to read an entry twice does no harm.
//
// The owner appends what changed with each drain, and rewrites the file whole ([Journal.Compact]) when it has grown. A journal
// that cannot be written is removed, for what is out of date is worse than nothing; compaction begins it anew.
package journal
