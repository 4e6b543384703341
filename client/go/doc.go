// Package hotpath counts on a program's hot path at the price of a memory add.
// An OpenTelemetry Collector with the hotpath receiver on the same host takes
// the counts from shared memory and sends them on as metrics. The program opens no socket,
// starts no goroutine and serialises nothing, and what it counted survives its own SIGKILL.
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
// # Handles
//
// Handles are small values for any number of goroutines. The same kind, name,
// unit and attributes give the same series. No call panics, blocks or fails, and
// none of Add, Set and Record allocates: a bad name gives the zero handle, whose
// measurements are only counted as refused; what can't be published is counted in private memory. [Status] tells.
//
// A process has room for 16384 series. Those beyond are folded into one series
// an instrument that has the attribute otel.metric.overflow=true.
//
// # Environment
//
// HOTPATH_DIR is the directory to publish in (/dev/shm/hotpath). HOTPATH_TRANSPORT
// is shm (the default) or off, which counts in private memory. OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES describe the process. All are read when the first instrument is made.
//
// # Platforms
//
// Linux on amd64 and arm64. Elsewhere the package compiles and counts nothing.
package hotpath
