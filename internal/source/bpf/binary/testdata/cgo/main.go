// C within Go.
package main

/*
__attribute__((noinline)) int doubled(int n)
{
	return 2 * n;
}
*/
import "C"

import "fmt"

//go:noinline
func show(n int) {
	fmt.Println(n)
}

func main() {
	show(int(C.doubled(21)))
}
