package c

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
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
	"github.com/hotpath-metrics/hotpath/client/go/uring"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	untrusted "github.com/hotpath-metrics/hotpath/internal/segment"
)

// taker is a collector of the test's own: it takes rings, reads their completions and keeps what they say.
type taker struct {
	t       testing.TB
	socket  string
	entries uint32
	listen  *net.UnixListener
	wait    sync.WaitGroup

	mu      sync.Mutex
	paused  bool // queues are not read
	taken   []*image
	streams []*net.UnixConn
}

// image is what a client told of its segment, over all its connections to this taker.
type image struct {
	pid       int
	header    untrusted.Header
	catalogue []byte
	words     map[uint32]uint64
	messages  int
	complete  map[uint32]uint64 // the words when the client said that these are all
	batches   []int             // messages that were found at once
	ring      *completions
	ended     bool
}

// completions is another process's queue, mapped.
type completions struct {
	fd, size   int
	memory     []byte
	head, tail *uint32
	cqes       int
}

// offsets are where the kernel puts head, tail and entries of a ring's completion queue: they do not depend on its size.
func offsets(entries uint32) (head, tail, cqes uint32, err error) {
	var params [30]uint32
	params[1], params[2] = entries, 8 // IORING_SETUP_CQSIZE
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
	if errno != 0 {
		return 0, 0, 0, fmt.Errorf("make ring: %w", errno)
	}
	return params[20], params[21], params[25], unix.Close(int(fd))
}

func takeRing(pid int, number uint32, entries uint32) (*completions, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("open process: %w", err)
	}
	defer unix.Close(pidfd)
	fd, err := unix.PidfdGetfd(pidfd, int(number), 0)
	if err != nil {
		return nil, fmt.Errorf("take ring: %w", err)
	}
	link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil || link != "anon_inode:[io_uring]" {
		return nil, fmt.Errorf("the descriptor is %s, %w", link, err)
	}
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	if err != nil || !strings.Contains(string(info), fmt.Sprintf("CqMask:\t0x%x\n", entries-1)) {
		return nil, fmt.Errorf("the ring is %s, %w", info, err)
	}
	head, tail, cqes, err := offsets(entries)
	if err != nil {
		return nil, err
	}
	c := &completions{fd: fd, size: int(entries), cqes: int(cqes)}
	c.memory, err = unix.Mmap(fd, 0, int(cqes+16*entries), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map queue: %w", err)
	}
	c.head, c.tail = (*uint32)(unsafe.Pointer(&c.memory[head])), (*uint32)(unsafe.Pointer(&c.memory[tail]))
	return c, nil
}

func (c *completions) close() { _ = errors.Join(unix.Munmap(c.memory), unix.Close(c.fd)) }

// uringSocket is an abstract name of this test's.
func uringSocket(t testing.TB) string {
	return fmt.Sprintf("@hotpath-%d-%s", os.Getpid(), filepath.Base(t.Name()))
}

// takeAt starts a taker. It stops with the test, or earlier.
func takeAt(t testing.TB, socket string, entries uint32) *taker {
	t.Helper()
	k := &taker{t: t, socket: socket, entries: entries, listen: listenAt(t, socket)}
	k.wait.Add(1)
	go func() {
		defer k.wait.Done()
		for {
			conn, err := k.listen.AcceptUnix()
			if err != nil {
				return
			}
			k.mu.Lock()
			k.streams = append(k.streams, conn)
			k.mu.Unlock()
			k.wait.Add(1)
			go k.serve(conn)
		}
	}()
	t.Cleanup(k.stop)
	return k
}

func listenAt(t testing.TB, socket string) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(socket, "@") {
		if err := os.Chmod(socket, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// stop ends it as a kill does: everything is closed.
func (k *taker) stop() {
	k.listen.Close()
	k.mu.Lock()
	for _, conn := range k.streams {
		conn.Close()
	}
	k.mu.Unlock()
	k.wait.Wait()
}

func message(kind uint16, body []byte) []byte {
	b := make([]byte, uring.HeaderSize, uring.HeaderSize+len(body))
	binary.NativeEndian.PutUint32(b[uring.OffSize:], uint32(uring.HeaderSize+len(body)))
	binary.NativeEndian.PutUint16(b[uring.OffType:], kind)
	binary.NativeEndian.PutUint16(b[uring.OffVersion:], uring.Version)
	return append(b, body...)
}

func greeting(entries uint32) []byte {
	body := make([]byte, 8)
	binary.NativeEndian.PutUint32(body, entries)
	return message(uring.TypeGreeting, body)
}

// receive reads one message.
func receive(conn *net.UnixConn) (kind uint16, whole []byte, err error) {
	whole = make([]byte, uring.HeaderSize)
	if _, err := io.ReadFull(conn, whole); err != nil {
		return 0, nil, err
	}
	size := binary.NativeEndian.Uint32(whole)
	if size < uring.HeaderSize || size > uring.MaxMessage || binary.NativeEndian.Uint16(whole[uring.OffVersion:]) != uring.Version {
		return 0, nil, fmt.Errorf("a message begins with %x", whole)
	}
	whole = append(whole, make([]byte, size-uring.HeaderSize)...)
	_, err = io.ReadFull(conn, whole[uring.HeaderSize:])
	return binary.NativeEndian.Uint16(whole[uring.OffType:]), whole, err
}

func peer(conn *net.UnixConn) (pid int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	controlErr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(controlErr, err); err != nil {
		return 0, err
	}
	return int(cred.Pid), nil
}

func (k *taker) serve(conn *net.UnixConn) {
	defer k.wait.Done()
	defer conn.Close()
	if _, err := conn.Write(greeting(k.entries)); err != nil {
		return
	}
	kind, hello, err := receive(conn)
	if err != nil {
		return // closed, as a child does that ends right away
	}
	if kind != uring.TypeHello || len(hello) < uring.HelloResource+segment.RecordHeaderSize {
		k.t.Errorf("instead of a hello, message %d: %x", kind, hello)
		return
	}
	pid, err := peer(conn)
	if err != nil {
		k.t.Error(err)
		return
	}
	at := func(offset int) int64 { return int64(binary.NativeEndian.Uint64(hello[offset:])) }
	if int(at(uring.HelloPID)) != pid {
		k.t.Errorf("process %d says it is %d", pid, at(uring.HelloPID))
	}
	m := &image{pid: pid, words: map[uint32]uint64{}, catalogue: hello[uring.HelloResource:]}
	m.header = untrusted.Header{
		StartTime: at(uring.HelloStartTime), PID: uint64(pid), Instance: [16]byte(hello[uring.HelloInstance:]), ID: uint64(at(uring.HelloSegmentID)),
		CatalogueSize: at(uring.HelloCatalogueSize), SharedSize: at(uring.HelloSharedSize), StripeSize: at(uring.HelloStripeSize), StripeCount: 1,
	}
	m.ring, err = takeRing(pid, binary.NativeEndian.Uint32(hello[uring.HelloRing:]), k.entries)
	if err != nil {
		if unix.Kill(pid, 0) == nil {
			k.t.Errorf("process %d: %v", pid, err)
		}
		return
	}
	k.mu.Lock()
	k.taken = append(k.taken, m)
	k.mu.Unlock()
	gone := make(chan struct{})
	k.wait.Add(1)
	go k.reap(m, gone)
	defer close(gone)
	if _, err := conn.Write(message(uring.TypeReady, nil)); err != nil {
		return
	}
	for {
		kind, series, err := receive(conn)
		if err != nil {
			return
		}
		if kind != uring.TypeSeries || len(series) <= uring.HeaderSize {
			k.t.Errorf("instead of series, message %d: %x", kind, series)
			return
		}
		k.mu.Lock()
		m.catalogue = append(m.catalogue, series[uring.HeaderSize:]...)
		k.mu.Unlock()
	}
}

// reap reads a queue until the connection is gone, and then what is left.
func (k *taker) reap(m *image, gone <-chan struct{}) {
	defer k.wait.Done()
	for last := false; ; {
		select {
		case <-gone:
			last = true
		default:
		}
		k.mu.Lock()
		if !k.paused {
			m.read()
			m.ended = last
		}
		if m.ended {
			m.ring.close()
		}
		ended := m.ended
		k.mu.Unlock()
		if ended {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// read applies what is in the queue.
func (m *image) read() {
	head, tail := *m.ring.head, atomic.LoadUint32(m.ring.tail)
	if head == tail {
		return
	}
	m.batches = append(m.batches, int(tail-head))
	for ; head != tail; head++ {
		cqe := m.ring.memory[m.ring.cqes+16*int(head&uint32(m.ring.size-1)):]
		index := binary.NativeEndian.Uint32(cqe[8:])
		if index == uring.Complete {
			m.complete = maps.Clone(m.words)
			continue
		}
		m.words[index] = binary.NativeEndian.Uint64(cqe)
		m.messages++
	}
	atomic.StoreUint32(m.ring.head, tail)
}

func (k *taker) pause(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.paused = on
}

// images are those of all clients, in the order in which they came.
func (k *taker) images() []*image {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]*image(nil), k.taken...)
}

// drained waits until a client's connection has ended and its queue is read.
func (k *taker) drained(m *image) {
	k.t.Helper()
	for range 1000 {
		k.mu.Lock()
		ended := m.ended
		k.mu.Unlock()
		if ended {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	k.t.Fatal("the connection does not end")
}

// of is the newest image of a process.
func (k *taker) of(pid int) *image {
	k.t.Helper()
	for range 400 {
		all := k.images()
		for i := len(all) - 1; i >= 0; i-- {
			if all[i].pid == pid {
				return all[i]
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	k.t.Fatalf("process %d did not come", pid)
	return nil
}

// contents parses an image as the Collector would.
func (k *taker) contents(m *image) *contents {
	k.t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	if !m.ended && !k.paused {
		m.read()
	}
	catalogue := untrusted.NewCatalogue(&m.header)
	if err := catalogue.Parse(m.catalogue, int64(len(m.catalogue)), math.MaxInt); err != nil || len(catalogue.Skipped) != 0 {
		k.t.Fatalf("parse catalogue: %v, skipped %v", err, catalogue.Skipped)
	}
	c := &contents{m.header, map[string]string{}, map[string]uint64{}, map[string]float64{}, map[string]histogram{}}
	for _, a := range catalogue.Resource {
		c.resource[a.Key] = a.Str
	}
	for _, s := range catalogue.Series {
		key, slot := emittest.Key(s.Series), uint32(s.Slot)
		switch int(s.Instrument.Kind) {
		case segment.KindGauge:
			if bits, ok := m.words[uring.SharedBit+slot]; ok {
				c.gauges[key] = math.Float64frombits(bits)
			}
		case segment.KindHistogram:
			v := histogram{sum: math.Float64frombits(m.words[slot+segment.HistogramSum]), count: m.words[slot+segment.HistogramZero]}
			for i := range uint32(segment.HistogramBuckets) {
				v.count += m.words[slot+segment.HistogramFirstBucket+i]
			}
			c.histograms[key] = v
		default:
			c.counters[key] = m.words[slot]
		}
	}
	return c
}

// until waits for what a process told to be as it should.
func (k *taker) until(pid int, right func(*contents) bool) {
	k.t.Helper()
	var s *contents
	for range 1000 {
		if s = k.contents(k.of(pid)); right(s) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	told := fmt.Sprintf("told %v, %v and %v", s.counters, s.gauges, s.histograms)
	k.t.Fatal(told[:min(len(told), 500)])
}

func (k *taker) untilCounter(pid int, key string, want uint64) {
	k.t.Helper()
	k.until(pid, func(s *contents) bool { return s.counters[key] == want })
}
