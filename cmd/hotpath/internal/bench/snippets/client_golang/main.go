// Client_golang is what a program in Go needs for a counter by Prometheus's client.
package main

import (
	"log"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

var requests = promauto.NewCounter(prometheus.CounterOpts{Name: "http_requests_total", Help: "Requests served"})

func main() {
	requests.Inc()
	http.Handle("/metrics", promhttp.Handler())
	log.Fatal(http.ListenAndServe("127.0.0.1:2112", nil)) // #nosec G114 -- as its documentation has it
}
