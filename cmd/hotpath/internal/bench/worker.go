package bench

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/bench/peer"
	"github.com/hotpath-metrics/hotpath/client/go"
	"github.com/hotpath-metrics/hotpath/internal/measure/worker"
)

// Variables of workers: where the statsd server listens.
const (
	udpVariable  = "HOTPATH_BENCH_UDP"  // a port
	unixVariable = "HOTPATH_BENCH_UNIX" // an abstract name
)

// Kinds of series that a Go worker makes.
const (
	hotpathSeries      = "hotpath"
	clientGolangSeries = "client_golang"
	openTelemetry      = "opentelemetry"
)

// probed is a function for a probe.
func probed()

// serveWorker is this program as a worker whose series begin with a prefix.
func serveWorker(prefix, kind string) error {
	var held any // series of others, so that they stay
	w := worker.Worker{
		Status: hotpath.Status,
		Series: func(n int) {
			switch kind {
			case clientGolangSeries:
				held = peer.ClientGolangSeries(n)
			case openTelemetry:
				held, _ = peer.OpenTelemetrySeries(n) // a name that was good for the one counter is for the other
			default:
				for i := range n {
					hotpath.NewCounter(prefix+".shards", hotpath.WithAttributes(hotpath.Int("shard", int64(i)))).Add(1)
				}
				hotpath.Flush()
			}
		},
		Subjects: []worker.Subject{
			{Name: "bare_add", Prepare: plain(peer.Increment)},
			{Name: "lock_add", Prepare: plain(peer.AtomicAdd)},
			{Name: "prom_inc", Prepare: plain(peer.ClientGolang)},
			{Name: "otel_add", Prepare: func() (func(int), error) { return peer.OpenTelemetry() }},
			{Name: "getppid", Prepare: plain(getppid)},
			{Name: "write_nowhere", Prepare: writeNowhere},
			{Name: "probed", Prepare: plain(callProbed)},
			{Name: "statsd_udp", Prepare: func() (func(int), error) {
				return statsd(prefix, "udp", "127.0.0.1:"+os.Getenv(udpVariable))
			}},
			{Name: "statsd_unix", Prepare: func() (func(int), error) {
				return statsd(prefix, "unixgram", "@"+os.Getenv(unixVariable))
			}},
			{Name: "counter_add", Prepare: func() (func(int), error) {
				counter := hotpath.NewCounter(prefix+".adds", hotpath.WithUnit("1"))
				return func(n int) {
					for range n {
						counter.Add(1)
					}
				}, nil
			}},
		},
	}
	defer runtime.KeepAlive(&held)
	return w.Serve(os.Stdin, os.Stdout)
}

func plain(open func() func(int)) func() (func(int), error) {
	return func() (func(int), error) { return open(), nil }
}

func getppid() func(int) {
	return func(n int) {
		for range n {
			_ = unix.Getppid()
		}
	}
}

func callProbed() func(int) {
	return func(n int) {
		for range n {
			probed()
		}
	}
}

// writeNowhere makes the system call that an event of 200 bytes would take.
func writeNowhere() (func(int), error) {
	fd, err := unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/null: %w", err)
	}
	event := make([]byte, 204)
	return func(n int) {
		parts := [][]byte{event[:84], event[84:124], event[124:]}
		for range n {
			_, _ = unix.Writev(fd, parts)
		}
	}, nil
}

// statsd is a client as they are: a datagram for each update.
func statsd(prefix, network, address string) (func(int), error) {
	connection, err := net.Dial(network, address) // #nosec G704 -- on loopback
	if err != nil {
		return nil, fmt.Errorf("connect to the statsd server: %w", err)
	}
	packet := []byte(prefix + ".adds:1|c")
	return func(n int) {
		var failure error
		for range n {
			if _, err := connection.Write(packet); err != nil {
				failure = errors.Join(failure, err)
			}
		}
		if failure != nil {
			fmt.Fprintln(os.Stderr, "hotpath bench: send a datagram:", failure)
		}
	}, nil
}
