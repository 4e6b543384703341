//go:build linux && (amd64 || arm64)

package hotpath

import _ "unsafe" // for go:linkname

// procPin keeps the goroutine on its P, and P to itself, until procUnpin. P's
// number is below GOMAXPROCS. The runtime keeps both for packages like this one (go.dev/issue/67401).
//
//go:linkname procPin runtime.procPin
//go:nosplit
func procPin() int

//go:linkname procUnpin runtime.procUnpin
//go:nosplit
func procUnpin()

// nanotime reads CLOCK_MONOTONIC, in nanoseconds.
//
//go:linkname nanotime runtime.nanotime
//go:nosplit
func nanotime() int64
