// Package hotpath counts on a program's hot path at the price of a memory add.
// An OpenTelemetry Collector with the hotpath receiver on the same host takes
// the counts from shared memory and sends them on as metrics. The program opens no socket,
// starts no goroutine and serialises nothing (but with io_uring, below), and what it counted survives its own SIGKILL.
//
// Make instruments once, with their attributes, and keep the handles:
//
//	var (
//		hits = hotpath.NewCounter("cache.requests",
//			hotpath.WithUnit("{request}"),
//			hotpath.WithAttributes(hotpath.String("result", "hit")))
//		latency = hotpath.NewHistogram("cache.duration", hotpath.WithUnit("s"))
//	)
//
//	func get(key string) Value {
//		start := time.Now()
//		value := lookup(key)
//		hits.Add(1)
//		latency.Record(time.Since(start).Seconds())
//		return value
//	}
//
// # Attributes at the call
//
// Where attributes are known only at the call, and too many sets of them are possible to make a handle of each, a measurement
// takes them along:
//
//	requests.AddWith(1, hotpath.String("http.route", route), hotpath.Int("http.response.status_code", status))
//
// The series is that with the handle's attributes and the call's; of equal keys the call's count. It is the same series as that of a
// handle which was made with all of them.
//
// A handle with its attributes bound costs an add. A measurement with attributes is written, text and all,
// into a ring in the segment, which the Collector empties and sums up: five times that for two short attributes (27 ns where an add takes 5), no allocation, no lock, and
// no system call but one for each quarter of the ring, which wakes the Collector (the first one on each P reserves its ring). So bind what is known
// beforehand, and where a set turns out to be hot, make a handle of it once and keep it: the total goes on.
//
// A ring, 1 MiB for each P that records with attributes, overwrites its oldest measurements where the Collector does not keep up. It counts those that it
// misses. Where there is no ring, or no Collector that could read it, measurements with attributes are lost and counted; [Status] has their number. Those that
// were recorded survive SIGKILL as counts do.
//
// A call may have 64 attributes, of 4 KiB in all; so may a series, with the handle's. With user_events and io_uring (below) there
// are no rings: the first measurement with some attributes makes a series of them, as New* does, at the price of that.
//
// # Handles
//
// Handles are small values for any number of goroutines. The same kind, name,
// unit and attributes give the same series. No call panics or fails, and
// none of Add, Set and Record allocates, with attributes or without: a bad name gives the zero handle, whose
// measurements are only counted as refused; what can't be published is counted in private memory. [Status] tells.
//
// A process has room for 16384 series. Those beyond are folded into one series
// an instrument that has the attribute otel.metric.overflow=true.
//
// # Environment
//
// HOTPATH_DIR is the directory to publish in, an absolute path (/dev/shm/hotpath). HOTPATH_TRANSPORT
// is shm (the default), bpf, user_events, io_uring, or off, which counts in private memory. OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES describe the process. All are read when the first instrument is made.
//
// # bpf
//
// With HOTPATH_TRANSPORT=bpf the counts are in a sealed memfd named hotpath, and so they are where shm has no directory that
// can be written to. It needs nothing from outside of the process, so it works in any container, and costs what shm does. A Collector
// with the source bpf finds it by itself, by the name that the thread which makes the first instrument gives itself for an instant: "hp@" and an
// address. No other Collector sees it; [Status] says when that is where the counts are, and why.
//
// What was counted survives the process only where a Collector holds the memfd by then: a process that ends before it
// was found may be lost.
//
// The descriptor has a high number and is closed on exec. A program may close it: the mapping is found as well.
//
// # user_events
//
// With HOTPATH_TRANSPORT=user_events (Linux 6.4 or later with CONFIG_USER_EVENTS, and the right to write to
// /sys/kernel/tracing/user_events_data) a process counts in private memory. While nobody listens, that costs what
// shared memory does. While a Collector listens, each call also writes an event with the series' running
// total: by two system calls, some microseconds, and for a histogram the more the more CPUs the process has used.
//
// What heals: a total is right after any loss, and after any time without a listener, as soon as its series is updated once more.
// A program that wants to be sure of it, such as before it ends, adds 0 to its counters and sets its gauges again. A series that is
// never updated while somebody listens is not heard of.
//
// What does not: what was counted between a process's last event that was read and its end is lost with it, unlike in shared memory. How
// often series were folded, and values clamped or refused, is told in shared memory only; here [Status] has the first and the last. A series
// with more than about 3.7 KB of name, attributes and resource together, 2.7 KB for a histogram, is too long for an event and
// stays in private memory.
//
// Without the right, or the kernel, a process counts in private memory until its end, and [Status] says what is missing: root gives a
// group the right by chgrp and chmod g+rw on the file, and g+x on its folder.
//
// The descriptor has a high number. A program that closes it, as daemons do, gets another, if it may open the file still: calls that find
// it closed wait for that. If it may not, it is tried again when the next listener comes, and with the next instrument.
// The kernel knows the process by the threads that made instruments and those that they started: where all of these
// have ended it tells no more, until the next instrument is made. Instruments in package variables are made in a thread that never ends.
//
// # io_uring
//
// With HOTPATH_TRANSPORT=io_uring (Linux 5.19 or later, experimental) a process counts in private memory and posts what its words have come
// to into a queue that a Collector with the source io_uring reads. HOTPATH_SOCKET is where that listens (/run/hotpath/io_uring.sock; a name that
// begins with @ is abstract).
//
// Updates are told in batches: after HOTPATH_URING_BATCH of them (64; 1 tells each), or when the first of them has waited for
// HOTPATH_URING_DELAY microseconds (10000), by a timer that is set only while something waits. A call makes an atomic add, and the one that fills a
// batch a system call for each 64 words that have changed. With HOTPATH_URING_SQPOLL=1 a thread of the kernel looks for them
// instead: that saves the call and costs a CPU while the process counts.
//
// A program calls [Flush] before it ends: when main returns, nothing else runs. What was told survives SIGKILL.
//
// Making the first instrument waits for the Collector, 250 ms at most; nothing else waits for it. While there is none, or it has no
// room, the process counts on, tries again, once a second at most, and tells what the values have come to. A Collector that is started again hears of a process
// with its next update, instrument or Flush.
//
// A process that may not use io_uring (old kernels, kernel.io_uring_disabled, the seccomp filters of containers) counts in shared memory instead;
// [Status] says so.
//
// A link has three descriptors with high numbers, closed on exec. A program that closes one gets another link: its own file
// under that number is left alone, but for what is posted within a millisecond of that, if it is an io_uring too.
//
// # Platforms
//
// Linux on amd64 and arm64. Elsewhere the package compiles and counts nothing.
package hotpath
