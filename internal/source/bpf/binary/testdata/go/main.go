// Functions of Go's for probes.
package main

import (
	"fmt"
	"os"
)

type server struct{ n int }

//go:noinline
func (s *server) handle(route string, n int) int {
	s.n += n
	return len(route) + s.n
}

//go:noinline
func largest[T int | float64](a, b T) T {
	if a > b {
		return a
	}
	return b
}

func plus(a, b int) int // in assembly

func main() {
	s := &server{}
	fmt.Println(s.handle(os.Args[0], len(os.Args)), largest(1, 2), largest(1.5, 2.5), plus(1, 2))
}
