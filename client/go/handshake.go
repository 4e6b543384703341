//go:build linux && (amd64 || arm64)

package hotpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/client/go/uring"
)

// handshake is a link on its way, of which nobody else knows.
type handshake struct {
	*link
	deadline time.Time
	received []byte // and not yet understood
}

// connect makes a link with the Collector at a path, which gets to know all series there are. It may wait, but not beyond the deadline.
func connect(path string, m *mapping, polled bool, deadline time.Time) (*link, error) {
	h := &handshake{link: new(link), deadline: deadline}
	if err := h.open(path); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", path, err)
	}
	if err := h.introduce(m, polled); err != nil {
		h.close()
		return nil, fmt.Errorf("introduce the process at %s: %w", path, err)
	}
	return h.link, nil
}

func (h *handshake) open(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	if h.socket, err = newOpenFile(fd); err != nil {
		return err
	}
	// A socket that does not wait connects at once or, where too many others wait for the Collector, not at all.
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	if err == nil {
		err = h.socket.lift()
	}
	if err != nil {
		h.socket.close()
	}
	return err
}

func (h *handshake) introduce(m *mapping, polled bool) error {
	greeting, err := h.expect(uring.TypeGreeting, uring.GreetingSize)
	if err != nil {
		return err
	}
	entries := binary.NativeEndian.Uint32(greeting[uring.GreetingEntries:])
	if entries > uring.MaxEntries || bits.OnesCount32(entries) != 1 {
		return fmt.Errorf("the Collector wants a completion queue of %d entries", entries)
	}
	if err := h.newRings(entries, polled); err != nil {
		return err
	}
	defer h.permit()()
	if err := h.send(h.hello(m)); err != nil && !errors.Is(err, unix.EPIPE) { // why it was closed is still to be read
		return err
	}
	_, err = h.expect(uring.TypeReady, uring.HeaderSize)
	return err
}

// hello is the message of that name, and those of the series there are.
func (h *handshake) hello(m *mapping) []byte {
	field := func(offset int) uint64 { return atomic.LoadUint64(m.word(offset)) }
	used := int(field(segment.OffCatalogueUsed))
	resource := int(binary.NativeEndian.Uint32(m.bytes(segment.HeaderSize+segment.RecordSize, 4)))
	h.declared = used
	b := uring.AppendHello(nil, &uring.Hello{
		StartTime:     field(segment.OffStartTime),
		PID:           field(segment.OffPID),
		Instance:      [segment.InstanceSize]byte(m.bytes(segment.OffInstance, segment.InstanceSize)),
		SegmentID:     field(segment.OffSegmentID),
		CatalogueSize: field(segment.OffCatalogueSize),
		SharedSize:    field(segment.OffSharedSize),
		StripeSize:    field(segment.OffStripeSize),
		Ring:          uint32(h.target.fd),
	}, m.bytes(segment.HeaderSize, resource))
	return uring.AppendSeries(b, m.bytes(segment.HeaderSize+resource, used-resource))
}

// permit lets a Collector of the same user take the ring where Yama would not (kernel.yama.ptrace_scope=1), until what it
// returns is called.
func (h *handshake) permit() (forbid func()) {
	scope, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if err != nil || strings.TrimSpace(string(scope)) != "1" {
		return func() {}
	}
	peer, err := unix.GetsockoptUcred(h.socket.fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil || peer.Uid == 0 || peer.Pid <= 0 { // root needs no leave
		return func() {}
	}
	_ = unix.Prctl(unix.PR_SET_PTRACER, uintptr(peer.Pid), 0, 0, 0)
	return func() { _ = unix.Prctl(unix.PR_SET_PTRACER, 0, 0, 0, 0) }
}

// expect receives the next message, which has to be of a type and size.
func (h *handshake) expect(kind uint16, size int) ([]byte, error) {
	for {
		n, err := complete(h.received)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			message := h.received[:n]
			h.received = h.received[n:]
			if binary.NativeEndian.Uint16(message[uring.OffType:]) != kind || n != size {
				return nil, unexpected(message)
			}
			return message, nil
		}
		if err := h.wait(unix.POLLIN); err != nil {
			return nil, err
		}
		n, _, err = unix.Recvfrom(h.socket.fd, h.answer[:], unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		case err != nil:
			return nil, err
		case n == 0:
			return nil, errors.New("the Collector closed the connection")
		default:
			h.received = append(h.received, h.answer[:n]...)
		}
	}
}

// complete is the size of the message that b begins with, 0 if there is more to come.
func complete(b []byte) (size int, err error) {
	if len(b) < uring.HeaderSize {
		return 0, nil
	}
	size = int(binary.NativeEndian.Uint32(b[uring.OffSize:]))
	if version := binary.NativeEndian.Uint16(b[uring.OffVersion:]); version != uring.Version {
		return 0, fmt.Errorf("the Collector speaks version %d, this is %d", version, uring.Version)
	}
	if size < uring.HeaderSize || size > uring.HeaderSize+uring.MaxSentence {
		return 0, fmt.Errorf("the Collector says something of %d bytes", size)
	}
	if len(b) < size {
		return 0, nil
	}
	return size, nil
}

// unexpected is what a message means that nobody waited for.
func unexpected(message []byte) error {
	if n, err := complete(message); err != nil {
		return err
	} else if n == 0 {
		return errors.New("the Collector says half a message")
	}
	kind := binary.NativeEndian.Uint16(message[uring.OffType:])
	if kind != uring.TypeRefused {
		return fmt.Errorf("the Collector says something of type %d and %d bytes", kind, len(message))
	}
	return fmt.Errorf("the Collector refuses: %.255q", message[uring.HeaderSize:])
}

// send sends all of b.
func (h *handshake) send(b []byte) error {
	for len(b) > 0 {
		n, err := unix.SendmsgN(h.socket.fd, b, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch {
		case err == nil:
			b = b[n:]
		case errors.Is(err, unix.EAGAIN):
			if err := h.wait(unix.POLLOUT); err != nil {
				return err
			}
		case !errors.Is(err, unix.EINTR):
			return err
		}
	}
	return nil
}

// wait waits until the socket is ready.
func (h *handshake) wait(events int16) error {
	for {
		left := time.Until(h.deadline)
		if left <= 0 {
			return errors.New("the Collector does not answer")
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(h.socket.fd), Events: events}}, int(left.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if n > 0 {
			return nil
		}
	}
}
