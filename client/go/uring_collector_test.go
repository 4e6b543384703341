//go:build linux && (amd64 || arm64)

package hotpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// listener is the tests' own idea of a Collector: it greets, takes rings and applies messages, by numbers from the documentation.
type listener struct {
	t       testing.TB
	path    string
	fd      int
	entries uint32

	mu     sync.Mutex          // guards all below
	first  func(conn int) bool // what to do first, and whether to go on as usual
	all    []*heard
	paused bool
	closed bool
	group  sync.WaitGroup
}

// heard is what was heard of one client.
type heard struct {
	conn, ring, pid int
	peer            *unix.Ucred
	segment         uint64
	resource        map[string]any
	stripe          uint64 // size
	series          map[string]segment.Record
	words           map[uint32]uint64
	before          map[uint32]uint64 // the words when it was complete
	messages        int
	per             map[uint32]int // messages by index
	mapped          []byte
	head, tail      *uint32
	cqes            []completionSeen
	ended           bool
	ready           bool
}

type completionSeen struct {
	value uint64
	index int32
	_     uint32
}

// needUring skips where the kernel lets nobody make rings.
func needUring(t testing.TB) {
	t.Helper()
	if err := tryRings(0); err != nil {
		t.Skip("needs io_uring: ", err)
	}
}

// newListener listens at a socket of its own until the test ends.
func newListener(t testing.TB, entries uint32) *listener {
	t.Helper()
	needUring(t)
	dir, err := os.MkdirTemp("", "hp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l := &listener{t: t, path: filepath.Join(dir, "s"), entries: entries}
	l.listen()
	t.Cleanup(l.close)
	return l
}

func (l *listener) listen() {
	l.t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	if !strings.HasPrefix(l.path, "@") {
		os.Remove(l.path)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: l.path}); err != nil {
		l.t.Fatal(err)
	}
	if !strings.HasPrefix(l.path, "@") {
		if err := os.Chmod(l.path, 0o666); err != nil {
			l.t.Fatal(err)
		}
	}
	if err := unix.Listen(fd, 64); err != nil {
		l.t.Fatal(err)
	}
	l.mu.Lock()
	l.fd, l.closed = fd, false
	l.mu.Unlock()
	l.group.Go(l.accept)
	l.group.Go(l.reap)
}

// close ends as a Collector that is killed: with all that it has open.
func (l *listener) close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	_ = unix.Shutdown(l.fd, unix.SHUT_RDWR)
	for _, h := range l.all {
		_ = unix.Shutdown(h.conn, unix.SHUT_RDWR)
	}
	l.mu.Unlock()
	l.group.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	unix.Close(l.fd)
	for _, h := range l.all {
		h.release()
	}
	l.all = nil
}

func (h *heard) release() {
	unix.Close(h.conn)
	if h.mapped != nil {
		_ = unix.Munmap(h.mapped)
		unix.Close(h.ring)
		h.mapped = nil
	}
}

func (l *listener) accept() {
	for n := 0; ; n++ {
		conn, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC)
		l.mu.Lock()
		if err != nil || l.closed {
			l.mu.Unlock()
			return
		}
		h := &heard{conn: conn, words: map[uint32]uint64{}, series: map[string]segment.Record{}, per: map[uint32]int{}}
		l.all = append(l.all, h)
		l.mu.Unlock()
		l.group.Go(func() { l.serve(n, h) })
	}
}

func (l *listener) serve(n int, h *heard) {
	err := l.talk(h)
	l.mu.Lock()
	defer l.mu.Unlock()
	h.ended = true
	if h.mapped != nil {
		h.apply()
	}
	if err != nil && !errors.Is(err, io.EOF) && !l.closed {
		l.t.Errorf("client %d: %v", n, err)
	}
	_ = unix.Shutdown(h.conn, unix.SHUT_RDWR)
}

func message(kind uint16, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(8+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, 1)
	return append(b, body...)
}

func write(fd int, b []byte) { _, _ = unix.SendmsgN(fd, b, nil, nil, unix.MSG_NOSIGNAL) }

func (l *listener) talk(h *heard) error {
	var err error
	if h.peer, err = unix.GetsockoptUcred(h.conn, unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil {
		return err
	}
	l.mu.Lock()
	first := l.first
	l.mu.Unlock()
	if first != nil && !first(h.conn) {
		return nil
	}
	write(h.conn, message(1, binary.NativeEndian.AppendUint64(nil, uint64(l.entries)))) // little-endian: entries, 0
	var stream []byte
	for {
		for len(stream) >= 8 && len(stream) >= int(binary.NativeEndian.Uint32(stream)) {
			size, kind, version := binary.NativeEndian.Uint32(stream), binary.NativeEndian.Uint16(stream[4:]), binary.NativeEndian.Uint16(stream[6:])
			if size < 8 || size > 131080 || version != 1 {
				return fmt.Errorf("a message of type %d, version %d and %d bytes", kind, version, size)
			}
			body := stream[8:size]
			stream = stream[size:]
			switch {
			case kind == 2 && h.mapped == nil:
				if err := l.hello(h, body); err != nil {
					return err
				}
				write(h.conn, message(4, nil))
			case kind == 3 && h.mapped != nil:
				l.declare(h, body)
			default:
				return fmt.Errorf("a message of type %d", kind)
			}
		}
		piece := make([]byte, 64<<10)
		got, err := unix.Read(h.conn, piece)
		if got <= 0 {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return io.EOF
		}
		stream = append(stream, piece[:got]...)
	}
}

func (l *listener) declare(h *heard, records []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(records) > 0 {
		size := binary.NativeEndian.Uint32(records)
		r, attributes := parse(l.t, records[:size])
		records = records[size:]
		k := key(r.Name, r.Attributes, attributes)
		if _, twice := h.series[k]; twice {
			l.t.Errorf("%s is declared twice", k)
		}
		h.series[k] = r
	}
}

// hello takes the ring that the client names.
func (l *listener) hello(h *heard, body []byte) error {
	word := func(at int) uint64 { return binary.NativeEndian.Uint64(body[at:]) }
	if word(0) == 0 || word(40) == 0 || word(48) == 0 || binary.NativeEndian.Uint32(body[68:]) != 0 {
		return fmt.Errorf("the hello is % x", body[:72])
	}
	r, resource := parse(l.t, body[72:])
	if r.Kind != segment.KindResource {
		return fmt.Errorf("the resource is of kind %d", r.Kind)
	}
	pidfd, err := unix.PidfdOpen(int(h.peer.Pid), 0)
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	ring, err := unix.PidfdGetfd(pidfd, int(binary.NativeEndian.Uint32(body[64:])), 0)
	if err != nil {
		return err
	}
	if link, _ := os.Readlink(fmt.Sprint("/proc/self/fd/", ring)); link != "anon_inode:[io_uring]" {
		return fmt.Errorf("the ring is %q", link)
	}
	// The queues lie alike in all rings of a kernel.
	own, err := newRing(ringParameters{submissions: 1, completions: l.entries, flags: setupCQSize})
	if err != nil {
		return err
	}
	defer own.close()
	mapped, err := unix.Mmap(ring, 0x8000000, int(own.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	at := func(p unsafe.Pointer) unsafe.Pointer {
		return unsafe.Add(unsafe.Pointer(&mapped[0]), uintptr(p)-uintptr(own.queues))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h.segment, h.stripe, h.resource, h.pid = word(32), word(56), resource, int(word(8))
	h.ring, h.mapped = ring, mapped
	h.head, h.tail = (*uint32)(at(unsafe.Pointer(own.cqHead))), (*uint32)(at(unsafe.Pointer(own.cqTail)))
	h.cqes = unsafe.Slice((*completionSeen)(at(unsafe.Pointer(&own.completions[0]))), l.entries)
	h.ready = true
	return nil
}

// apply takes what is in the queue.
func (h *heard) apply() {
	head, tail := atomic.LoadUint32(h.head), atomic.LoadUint32(h.tail)
	for ; head != tail; head++ {
		c := h.cqes[head%uint32(len(h.cqes))]
		if c.index == 1<<30|4 {
			h.before = maps.Clone(h.words)
		}
		h.words[uint32(c.index)] = c.value
		h.per[uint32(c.index)]++
		h.messages++
	}
	atomic.StoreUint32(h.head, head)
}

// reap takes messages every now and then.
func (l *listener) reap() {
	for {
		l.mu.Lock()
		for _, h := range l.all {
			if h.mapped != nil && !l.paused {
				h.apply()
			}
		}
		done := l.closed
		l.mu.Unlock()
		if done {
			return
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// doFirst has something done on new connections before anything else.
func (l *listener) doFirst(first func(conn int) (goOn bool)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.first = first
}

func (l *listener) pause(yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = yes
}

// last looks at the last client there was.
func (l *listener) last(look func(h *heard)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		look(&heard{})
		return
	}
	h := l.all[len(l.all)-1]
	if h.mapped != nil && !l.paused {
		h.apply()
	}
	look(h)
}

// buckets are those of a histogram that are not empty.
func (h *heard) buckets(r segment.Record) map[int]uint64 {
	all := map[int]uint64{}
	for i := range 512 {
		if n := h.words[uint32(r.Slot)+8+uint32(i)]; n != 0 {
			all[i] = n
		}
	}
	return all
}

// total is the value of a series that is no histogram.
func (h *heard) total(name string) uint64 {
	r, ok := h.series[name]
	switch {
	case !ok:
		return math.MaxUint64 - 1
	case r.Kind == segment.KindGauge:
		return h.words[1<<29|uint32(r.Slot)]
	}
	return h.words[uint32(r.Slot)]
}

// now is the total of a series of the last client.
func (l *listener) now(name string) (n uint64) {
	l.last(func(h *heard) { n = h.total(name) })
	return n
}

// knows waits until the last client has declared a series: the socket is not as fast as the queue.
func (l *listener) knows(name string) {
	l.t.Helper()
	eventually(l.t, name+" is declared", func() (known bool) {
		l.last(func(h *heard) { _, known = h.series[name] })
		return known
	})
}

func (l *listener) connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// client is a client of its own that tells this listener.
func (l *listener) client(settings ...string) *client {
	environment := map[string]string{"HOTPATH_TRANSPORT": "io_uring", "HOTPATH_SOCKET": l.path}
	for i := 0; i < len(settings); i += 2 {
		environment[settings[i]] = settings[i+1]
	}
	c := fresh(environment)
	l.t.Cleanup(func() { c.forget() })
	return c
}

// forget takes the client's link away for good, as the end of its process would.
func (c *client) forget() {
	m, ok := c.teller.(*messages)
	if !ok {
		return
	}
	for _, lock := range []*atomic.Bool{&m.dialling, &m.busy} {
		for !lock.CompareAndSwap(false, true) {
			time.Sleep(time.Millisecond)
		}
		defer lock.Store(false)
	}
	m.dialled = time.Now().Add(1000 * time.Hour) // too early for another attempt
	m.armed.Store(true)
	m.alarm.Stop()
	m.linked.Store(false)
	for _, l := range []*link{m.link, m.offered.Swap(nil)} {
		if l != nil {
			l.close()
		}
	}
	m.link = nil
}

// eventually waits for something to become true.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: never", what)
		}
	}
}
