package main

import "fmt"

type worker struct{ amount int }

//go:noinline
func (w *worker) handle(what string, n int) { w.amount += n + len(what) }

// probed works as often as its input says, for probes to see.
func probed() {
	var w worker
	lines(func(line string) {
		var verb, what string
		var n int
		_, _ = fmt.Sscan(line, &verb, &n, &what)
		for i := range n {
			w.handle(what, i)
		}
		fmt.Println(0)
	})
}
