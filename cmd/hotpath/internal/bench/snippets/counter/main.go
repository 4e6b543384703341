// Counter is what a program in Go needs for a counter.
package main

import "github.com/hotpath-metrics/hotpath/client/go"

var requests = hotpath.NewCounter("http.requests", hotpath.WithUnit("{request}"))

func main() {
	requests.Add(1)
}
