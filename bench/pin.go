package main

import _ "unsafe" // for go:linkname

// procPin and procUnpin are what the Go client calls around its add: no
// implementation of it on top of them can be faster (go.dev/issue/67401).
//
//go:linkname procPin runtime.procPin
//go:nosplit
func procPin() int

//go:linkname procUnpin runtime.procUnpin
//go:nosplit
func procUnpin()
