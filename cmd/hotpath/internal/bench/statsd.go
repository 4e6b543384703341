package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"github.com/hotpath-metrics/hotpath/internal/measure"
)

// statsdKind is the collector that is a statsd server and no receiver.
const statsdKind = "statsd"

// listenStatsd takes datagrams over UDP or, with a name, over a UNIX socket. It does the least that a server can: it reads and adds up. Where it
// listens is what it answers.
func listenStatsd(into *arrivals, name string) (words []string, end func() error, err error) {
	var from net.PacketConn
	if name == "" {
		from, err = net.ListenPacket("udp", "127.0.0.1:0")
	} else {
		from, err = net.ListenPacket("unixgram", "@"+name)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("listen: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- readStatsd(from, into) }()
	if address, ok := from.LocalAddr().(*net.UDPAddr); ok {
		words = []string{strconv.Itoa(address.Port)}
	}
	return words, func() error { return errors.Join(from.Close(), <-done) }, nil
}

func readStatsd(from net.PacketConn, into *arrivals) error {
	datagram := make([]byte, 1500)
	for {
		size, _, err := from.ReadFrom(datagram)
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a datagram: %w", err)
		}
		name, value, _ := bytes.Cut(datagram[:size], []byte(":"))
		value, _, _ = bytes.Cut(value, []byte("|"))
		if n, err := strconv.ParseUint(string(value), 10, 64); err == nil {
			into.add(string(name), n, measure.Now())
		}
	}
}
