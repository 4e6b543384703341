package uring

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	wire "github.com/hotpath-metrics/hotpath/client/go/uring"

	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

const (
	// helloTime is how long a connection may take until it has said hello.
	helloTime = 10 * time.Second
	// acceptAtMost and receiveAtMost bound what is done for one descriptor at a time.
	acceptAtMost  = 256
	receiveAtMost = 16
)

// connection is a socket of somebody who connected.
type connection struct {
	fd       int
	id       uint64
	peer     peer
	since    time.Time
	client   *client // nil until it has said hello
	declared int64   // how far into the catalogue it has come
	partial  []byte  // of a message
}

// accept greets those who connect.
func (h *hub) accept() {
	for range acceptAtMost {
		fd, _, err := unix.Accept4(h.listener.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
			continue
		case err != nil: // no descriptors or memory: those who wait are accepted later
			h.skip("socket "+h.cfg.Socket, segments.ErrDescriptors, fmt.Errorf("accept: %w", err))
			h.deaf = unix.EpollCtl(h.control, unix.EPOLL_CTL_DEL, h.listener.fd, nil) == nil
			return
		}
		h.greet(fd)
	}
}

// listenAgain accepts connections again where that had failed.
func (h *hub) listenAgain() {
	h.deaf = h.deaf && watch(h.control, h.listener.fd, idListener) != nil
}

func (h *hub) greet(fd int) {
	c := &connection{fd: fd, id: h.newID(), since: time.Now()}
	err := h.welcome(c)
	if err == nil {
		err = watch(h.control, fd, c.id)
	}
	if err != nil {
		h.skip(fmt.Sprintf("connection of process %d", c.peer.pid), segment.ReasonOf(err, segments.ErrUnreadable), err)
		h.tell(c, err)
		unix.Close(fd)
		return
	}
	h.sockets[c.id] = c
	h.connected.Charge(c.peer.uid, 1, 0)
	if len(h.arrivals) > 2*len(h.sockets)+acceptAtMost { // most have gone again
		h.arrivals = slices.DeleteFunc(h.arrivals, func(c *connection) bool { return h.sockets[c.id] != c })
	}
	h.arrivals = append(h.arrivals, c)
}

func (h *hub) welcome(c *connection) (err error) {
	if c.peer, err = peerOf(c.fd); err != nil {
		return err
	}
	if segments.Reserved(c.fd + descriptorsPerClient) {
		return fmt.Errorf("%w: the last are left to the rest of the Collector", segments.ErrDescriptors)
	}
	if h.connected.Full(c.peer.uid, len(h.sockets)) {
		return segments.ErrLimit
	}
	return send(c.fd, greeting(uint32(h.cfg.CQEntries)))
}

// send sends a message, for which the socket always has room but for who has made it none.
func send(fd int, message []byte) error {
	if n, err := unix.SendmsgN(fd, message, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT); err != nil || n < len(message) {
		return fmt.Errorf("%w: send %d of %d bytes: %w", errPeer, n, len(message), err)
	}
	return nil
}

// receive takes what has come.
func (h *hub) receive(c *connection) {
	for range receiveAtMost {
		n, _, err := unix.Recvfrom(c.fd, h.input, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			return
		case err != nil || n == 0:
			h.disconnect(c)
			return
		}
		if err := h.parse(c, h.input[:n]); err != nil {
			h.refuse(c, segment.ReasonOf(err, segments.ErrUnreadable), err)
			return
		}
	}
}

// parse takes the messages that are whole, and keeps the rest.
func (h *hub) parse(c *connection, b []byte) error {
	kept := len(c.partial) > 0
	if kept {
		if err := h.memory.take(c.peer.uid, int64(len(b)), 0); err != nil {
			return err
		}
		c.partial = append(c.partial, b...)
		b = c.partial
	}
	for {
		message, rest, err := next(b)
		if err != nil {
			return err
		}
		if message == nil {
			break
		}
		if err := h.handle(c, message); err != nil {
			return err
		}
		b = rest
	}
	switch {
	case kept && len(b) == len(c.partial): // still not whole
	case kept && len(b) > 0:
		h.memory.give(c.peer.uid, int64(len(c.partial)-len(b)))
		c.partial = append(c.partial[:0], b...)
	case kept:
		h.memory.give(c.peer.uid, int64(len(c.partial)))
		c.partial = nil
	case len(b) > 0:
		if err := h.memory.take(c.peer.uid, int64(len(b)), 0); err != nil {
			return err
		}
		c.partial = slices.Clone(b)
	}
	return nil
}

func (h *hub) handle(c *connection, message []byte) error {
	switch kind := typeOf(message); {
	case kind == wire.TypeHello && c.client == nil:
		said, err := parseHello(message)
		if err != nil {
			return err
		}
		if err := h.attach(c, &said); err != nil {
			return err
		}
		return send(c.fd, outgoing(wire.TypeReady))
	case kind == wire.TypeSeries && c.client != nil:
		return h.declare(c, message[wire.HeaderSize:])
	default:
		return fmt.Errorf("%w: type %d, which is unknown or out of order", errMessage, kind)
	}
}

// declare takes catalogue records. Who came back says again what is known already.
func (h *hub) declare(c *connection, records []byte) error {
	m := c.client.image
	for len(records) > 0 {
		r, rest, err := nextRecord(records)
		if err != nil {
			return err
		}
		switch {
		case c.declared == m.used:
			if err := m.append(r); err != nil {
				return err
			}
		case !m.has(c.declared, r.bytes):
			return fmt.Errorf("%w: record at %d is another than before", segment.ErrCatalogue, c.declared)
		}
		c.declared += int64(len(r.bytes))
		records = rest
	}
	return nil
}

// refuse tells a client why its connection ends.
func (h *hub) refuse(c *connection, reason segment.Reason, cause error) {
	name := fmt.Sprintf("connection of process %d", c.peer.pid)
	h.skip(name, reason, cause)
	h.tell(c, cause)
	h.disconnect(c)
}

func (h *hub) tell(c *connection, cause error) {
	sentence := strings.ToValidUTF8(strings.TrimPrefix(cause.Error(), "segment: "), "\ufffd")
	for len(sentence) > wire.MaxSentence { // between characters
		sentence = strings.ToValidUTF8(sentence[:wire.MaxSentence], "")
	}
	_ = send(c.fd, outgoing(wire.TypeRefused, []byte(sentence)...)) // it is closed next, whether or not they hear
}

// disconnect closes a connection. The client may come back.
func (h *hub) disconnect(c *connection) {
	if h.sockets[c.id] != c {
		return
	}
	delete(h.sockets, c.id)
	h.connected.Charge(c.peer.uid, -1, 0)
	h.memory.give(c.peer.uid, int64(len(c.partial)))
	c.partial = nil
	unix.Close(c.fd)
	if c.client != nil {
		h.detach(c.client)
	}
	h.listenAgain()
}

// timeout refuses who has not said hello in time.
func (h *hub) timeout(now time.Time) {
	for len(h.arrivals) > 0 {
		c := h.arrivals[0]
		waits := c.client == nil && h.sockets[c.id] == c
		if waits && now.Sub(c.since) < helloTime {
			return
		}
		h.arrivals[0] = nil
		h.arrivals = h.arrivals[1:]
		if waits {
			h.refuse(c, errTimeout, fmt.Errorf("%w: no hello within %v", errTimeout, helloTime))
		}
	}
	h.arrivals = nil
}

// deadline is when timeout has something to do; zero if nobody is awaited.
func (h *hub) deadline() time.Time {
	if len(h.arrivals) == 0 {
		return time.Time{}
	}
	return h.arrivals[0].since.Add(helloTime)
}
