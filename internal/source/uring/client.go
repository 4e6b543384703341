package uring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	processes "github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/uring/ring"
)

// comeBack is how long a process that lives may be without a connection before its values are taken for final: it has executed another
// program, or unloaded the library that counted.
const comeBack = time.Minute

// clientKey tells clients apart. Only the user is the kernel's word.
type clientKey struct {
	uid uint32
	id  uint64 // of its segment
}

// client is a process, or one of several in a process, that tells what it counts. It outlives its connection: who
// comes back goes on in the same image. It implements [segments.Origin].
type client struct {
	hub   *hub
	key   clientKey
	id    uint64 // in epoll
	peer  peer
	pidfd int

	image   *image // nil once its values are final
	fd      int    // of the image, until the segment has it; then -1
	segment *segments.Segment
	refused error // why the segment is not read any more
	// complete says that the image holds all that was counted before the client connected, as the client has told if
	// that was not certain: otherwise it would tell of less than was delivered before.
	complete, told bool

	connection *connection // nil while there is none, and ring with it
	ring       *ring.Ring
	left       time.Time // when the connection ended

	busy        bool // something was read since the last collection
	unread      bool // the ring was never looked at
	overflowing time.Time
}

// attach has a connection be that of the client which says hello.
func (h *hub) attach(conn *connection, said *hello) error {
	if h.foreign.full(conn.peer.uid) {
		return fmt.Errorf("%w: descriptors that were no rings are still being closed", errRing)
	}
	pidfd, err := conn.peer.open(conn.fd)
	if err != nil {
		return err
	}
	r, other, err := h.kernel.Take(pidfd, int(said.ring), uint32(h.cfg.CQEntries))
	if other >= 0 {
		h.foreign.close(other, conn.peer.uid)
	}
	if err != nil {
		unix.Close(pidfd)
		if errors.Is(err, unix.EPERM) {
			return explainPermission(conn.peer)
		}
		return fmt.Errorf("%w: descriptor %d: %w", errRing, said.ring, err)
	}
	if err := conn.peer.same(pidfd); err != nil {
		r.Close()
		unix.Close(pidfd)
		return err
	}
	c, err := h.clientOf(conn.peer, pidfd, said)
	if err != nil {
		r.Close()
		return err
	}
	if err := watch(h.rings, r.FD(), c.id); err != nil {
		r.Close()
		h.end(c)
		return err
	}
	c.connection, c.ring, c.unread, c.overflowing = conn, r, true, time.Time{}
	conn.client, conn.declared = c, c.image.resource
	if c.complete {
		return h.admit(c)
	}
	return nil
}

// clientOf finds the client that comes back, or makes it. The descriptor is the client's then, or closed.
func (h *hub) clientOf(p peer, pidfd int, said *hello) (*client, error) {
	key := clientKey{p.uid, said.header.SegmentID}
	if c := h.clients[key]; c != nil {
		switch {
		case processes.Exited(c.pidfd):
			h.end(c)
		case c.peer != p || !c.image.same(said):
			unix.Close(pidfd)
			return nil, fmt.Errorf("%w: segment %#x is another's, or was declared otherwise", segments.ErrDuplicate, key.id)
		default:
			unix.Close(pidfd)
			if c.connection != nil { // its end is about to be heard
				h.disconnect(c.connection)
			}
			return c, nil
		}
	}
	if h.attached.Full(p.uid, len(h.clients)) {
		unix.Close(pidfd)
		return nil, segments.ErrLimit
	}
	m, fd, err := newImage(said, p.uid, h.memory)
	if err != nil {
		unix.Close(pidfd)
		return nil, err
	}
	c := &client{hub: h, key: key, id: h.newID(), peer: p, pidfd: pidfd, image: m, fd: fd}
	// What began in this run of the collector was told to no earlier one.
	c.complete = int64(said.header.StartTime) >= h.started
	h.clients[key], h.byID[c.id] = c, c
	h.attached.Charge(p.uid, 1, 0)
	if err := watch(h.control, pidfd, c.id|pidfdBit); err != nil {
		h.end(c)
		return nil, err
	}
	return c, nil
}

// admit has the set read the image.
func (h *hub) admit(c *client) error {
	if c.segment != nil || c.refused != nil { // which ends it soon
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(c.fd, &st); err != nil {
		return fmt.Errorf("stat image: %w", err)
	}
	seg, err := h.set.Admit(c.fd, &st, c.key.uid, c)
	returned := errors.Is(err, segments.ErrDuplicate)
	if returned && !c.told {
		c.complete = false
		return nil
	}
	if returned {
		// It was taken for final. What it told until then was delivered: that is the base for what comes on top.
		binary.NativeEndian.PutUint64(c.image.memory[layout.OffSegmentID:], rand.Uint64())
		seg, err = h.set.Admit(c.fd, &st, c.key.uid, c)
	}
	if err != nil {
		return err
	}
	c.fd, c.segment = -1, seg
	seg.Identify(uint32(c.peer.pid))
	seg.Seen = returned || seg.Start() < h.started
	return nil
}

// detach takes what is left in the ring of a client whose connection ends.
func (h *hub) detach(c *client) {
	if c.ring != nil {
		if _, err := h.take(c); err != nil {
			h.logger.Warn("Cannot read the last messages of a ring", zap.String("name", c.Name()), zap.Error(err))
		}
		// Closing it does not do that, as long as the client has it too.
		_ = unix.EpollCtl(h.rings, unix.EPOLL_CTL_DEL, c.ring.FD(), nil)
		c.ring.Close()
		c.ring = nil
	}
	c.connection, c.left = nil, time.Now()
}

// end makes what a client told final.
func (h *hub) end(c *client) {
	if conn := c.connection; conn != nil {
		h.receive(conn) // the last of its series
		if c.connection != nil {
			h.disconnect(c.connection)
		}
	}
	if h.clients[c.key] != c { // it turned out bad
		return
	}
	switch {
	case c.segment != nil || c.refused != nil:
	case !c.complete:
		h.skip(c.Name(), errIncomplete, errors.New("it ended before it had told all that it had counted"))
	default:
		if err := h.admit(c); err != nil {
			h.skip(c.Name(), segment.ReasonOf(err, segments.ErrUnreadable), err)
		}
	}
	seg := c.segment
	h.release(c)
	if seg != nil {
		h.set.Finish(seg)
	}
}

// release lets go of a client.
func (h *hub) release(c *client) {
	c.image.close()
	if c.fd >= 0 {
		unix.Close(c.fd)
		c.fd = -1
	}
	if c.segment == nil {
		c.image.free()
	}
	unix.Close(c.pidfd)
	delete(h.clients, c.key)
	delete(h.byID, c.id)
	h.attached.Charge(c.key.uid, -1, 0)
}

// sweep ends the clients whose segment is not read any more.
func (h *hub) sweep() {
	condemned := h.condemned
	h.condemned = nil
	for _, c := range condemned {
		if c.connection != nil {
			h.tell(c.connection, c.refused)
			h.disconnect(c.connection)
		}
		if h.clients[c.key] == c {
			h.release(c)
		}
	}
}

// skip counts and logs that something of a client is not read.
func (h *hub) skip(name string, reason segment.Reason, cause error) {
	h.tel.SegmentSkipped(string(reason))
	h.logger.Warn("Not reading a client", zap.String("name", name), zap.String("reason", string(reason)), zap.Error(cause))
}

// Name is what logs call the client.
func (c *client) Name() string { return fmt.Sprintf("ring of process %d", c.peer.pid) }

// Refused implements [segments.Origin].
func (c *client) Refused(_ *segments.Segment, reason segment.Reason, cause error) {
	c.refused = cause
	c.hub.skip(c.Name(), reason, cause)
	c.hub.condemned = append(c.hub.condemned, c)
}

// Delivered implements [segments.Origin].
func (c *client) Delivered(*segments.Segment) {}

// Closed implements [segments.Origin].
func (c *client) Closed() {
	c.segment = nil
	if c.image.memory == nil {
		c.image.free()
	}
}
