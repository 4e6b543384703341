// Statsd is what a program in Go needs for a counter by statsd.
package main

import (
	"log"
	"net"
)

func main() {
	statsd, err := net.Dial("udp", "127.0.0.1:8125")
	if err != nil {
		log.Fatal(err)
	}
	_, _ = statsd.Write([]byte("http.requests:1|c"))
}
