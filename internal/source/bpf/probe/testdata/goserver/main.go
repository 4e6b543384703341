// Command goserver calls a function and a method as often as it is told.
package main

import (
	"os"
	"strconv"
)

type server struct{ total int }

var total int

//go:noinline
func plain(n int) { total += n }

//go:noinline
func greet(name string, n int) { total += len(name) * n }

//go:noinline
func (s *server) handle(n int, path string) int {
	s.total += n + len(path)
	return s.total
}

func main() {
	times, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	s := &server{}
	for i := range times {
		plain(i)
		greet("gopher, and much that follows it"[:6+i%2], i)
		s.handle(i, "/cart")
	}
}
