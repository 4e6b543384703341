package uring

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/source/uring/ring"
)

// descriptorsPerClient are those of a client: socket, process, ring, image.
const descriptorsPerClient = 4

// Who an event of epoll is about: the number of a connection or client, which are even, or one of these.
const (
	idListener = 0
	idWake     = 1
	idGone     = 2
	firstID    = 4
	pidfdBit   = 1 // set in events about a client's process
)

// hub is the socket, with all connections and clients. The source's lock guards it.
type hub struct {
	*source
	kernel   *ring.Kernel
	listener *listener

	control   int // epoll: the listener, sockets, processes, wake
	rings     int // epoll: rings, which are left alone while they rest
	wake      int // eventfd
	stopping  bool
	deaf      bool // the listener is not in control: no descriptors are left
	ids       uint64
	sockets   map[uint64]*connection
	clients   map[clientKey]*client
	byID      map[uint64]*client
	condemned []*client     // whose segment turned out bad
	arrivals  []*connection // that may have said no hello yet, the earliest first

	connected *quota.Quota
	attached  *quota.Quota
	memory    *memory

	events  [256]unix.EpollEvent
	input   []byte
	batch   [1024]ring.Entry
	turns   uint64
	resting []*client // whose rings nobody waits for, for the moment
	read    int64     // messages, since the last report
	skipped received
	foreign foreign
}

func newHub(s *source, kernel *ring.Kernel, l *listener) (*hub, error) {
	limits := share(s.limits.Limits)
	h := &hub{
		source: s, kernel: kernel, listener: l, ids: firstID, input: make([]byte, 64<<10),
		sockets: map[uint64]*connection{}, clients: map[clientKey]*client{}, byID: map[uint64]*client{},
		connected: quota.New(limits), attached: quota.New(limits), memory: newMemory(s.limits.SegmentSize),
	}
	var errs [3]error
	h.control, errs[0] = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	h.rings, errs[1] = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	h.wake, errs[2] = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	for _, err := range errs {
		if err != nil {
			h.closeOwn()
			return nil, fmt.Errorf("make epoll: %w", err)
		}
	}
	err := watch(h.control, h.wake, idWake)
	if err == nil {
		err = h.watchListener()
	}
	if err != nil {
		h.closeOwn()
		return nil, err
	}
	return h, nil
}

func (h *hub) watchListener() error {
	if l := h.listener; l.gone >= 0 {
		if err := watch(h.control, l.gone, idGone); err != nil {
			return err
		}
	}
	return watch(h.control, h.listener.fd, idListener)
}

// listenAnew makes the socket again if somebody has removed it. Connections stay what they are.
func (h *hub) listenAnew() error {
	if !h.listener.lost() {
		return nil
	}
	if h.listener.fd >= 0 {
		h.logger.Warn("The socket was removed: making it again", zap.String("socket", h.cfg.Socket))
		h.accept() // those who wait
	}
	h.listener.close() // which takes it out of epoll
	mode, err := h.cfg.mode()
	if err != nil {
		return err
	}
	l, err := listen(h.cfg.Socket, mode)
	if err != nil {
		return err
	}
	h.listener, h.deaf = l, false
	return h.watchListener()
}

// share bounds the number of clients by the descriptors that there are, too, of which a user gets half: none shall keep others out.
func share(limits quota.Limits) quota.Limits {
	var open unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &open) == nil {
		all := int(min(open.Cur/descriptorsPerClient, math.MaxInt32))
		limits.Segments = min(limits.Segments, max(all, 2))
		limits.SegmentsPerUID = min(limits.SegmentsPerUID, max(all/2, 1))
	}
	return limits
}

func watch(epoll, fd int, id uint64) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(id), Pad: int32(id >> 32)}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return fmt.Errorf("add to epoll: %w", err)
	}
	return nil
}

func idOf(e *unix.EpollEvent) uint64 { return uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32 }

func (h *hub) newID() uint64 {
	h.ids += 2
	return h.ids
}

// stop has run return. The descriptors that it waits for are closed after that.
func (h *hub) stop() {
	h.stopping = true
	_, _ = unix.Write(h.wake, binary.NativeEndian.AppendUint64(nil, 1))
}

// close lets go of every client.
func (h *hub) close() {
	h.listener.close()
	for _, c := range h.sockets {
		unix.Close(c.fd)
	}
	for _, c := range h.clients {
		if c.ring != nil {
			c.ring.Close()
		}
		h.release(c)
	}
	h.closeOwn()
}

func (h *hub) closeOwn() {
	for _, fd := range []int{h.control, h.rings, h.wake} {
		unix.Close(fd)
	}
}

// looks is how many it takes to heed every socket and every end once: the kernel hands them out in turn.
func (h *hub) looks() int { return 1 + (len(h.sockets)+len(h.clients)+2)/heedAtMost }

// report tells what was read since the last time.
func (h *hub) report() {
	h.tel.EventsRead(h.read)
	for reason, n := range map[string]int64{skipIndex: h.skipped.noWord, skipMemory: h.skipped.noMemory} {
		if n > 0 {
			h.tel.EventsSkipped(reason, n)
		}
	}
	h.read, h.skipped = 0, received{}
}

// unadmitted is how many clients are not delivered yet.
func (h *hub) unadmitted() (n int) {
	for _, c := range h.clients {
		if c.segment == nil {
			n++
		}
	}
	return n
}

// expire ends clients that have not come back, and gives up the mappings of rings in which nothing has come since the last collection.
func (h *hub) expire(now time.Time) {
	for _, c := range h.clients {
		switch {
		case c.connection == nil && now.Sub(c.left) > comeBack:
			h.end(c)
		case c.ring != nil && !c.busy:
			c.ring.Rest()
		}
		c.busy = false
	}
	h.listenAgain()
}
