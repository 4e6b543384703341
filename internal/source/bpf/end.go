package bpf

import (
	"fmt"
	"math"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// Reasons for which the last values of a process are not known.
const (
	// errTooShort: it ended before its segment could be opened, and its memory was not there any more.
	errTooShort segment.Reason = "short_lived"
	// errNotCopied: there was no room for all of its memory.
	errNotCopied segment.Reason = "not_copied"
)

const (
	// maxCopying bounds what is held of copies, in pages; they are the Collector's own memory.
	maxCopying = 64 << 20 / pageSize
	// maxCopies bounds how many are not complete.
	maxCopies = 256
	// An end that was not heard of is supposed after this time.
	copyAtMost = 10 * time.Second
	// maxOffset is where a page of a segment lies below.
	maxOffset = 1 << 40
	// The kernel tells of the end before it takes the memory away: how often and how long that is waited for.
	settleTries = 8
	settleAfter = time.Millisecond
)

// copied is a segment as the kernel copies it from the memory of a process that ends, page by page.
type copied struct {
	address uint64 // where the process had it
	uid     uint32
	fd      int // a memfd, or -1
	pages   int
	cut     bool // there was no room for all pages
	began   time.Time
}

func (c *copied) close() {
	if c.fd >= 0 {
		_ = unix.Close(c.fd)
	}
}

func (s *source) keepPage(n notice) {
	i := slices.IndexFunc(s.copies[n.pid], func(c *copied) bool { return c.address == n.address })
	if i < 0 {
		i = len(s.copies[n.pid])
		s.copies[n.pid] = append(s.copies[n.pid], s.newCopy(n))
	}
	c := s.copies[n.pid][i]
	if c.fd < 0 || s.copying >= maxCopying || n.offset > maxOffset {
		c.cut = true
		return
	}
	if _, err := unix.Pwrite(c.fd, n.page, int64(n.offset)); err != nil {
		s.logger.Warn("Cannot keep what a process counted last", zap.Error(err))
		c.cut = true
		return
	}
	c.pages++
	s.copying++
}

func (s *source) newCopy(n notice) *copied {
	c := &copied{address: n.address, uid: n.uid, fd: -1, began: time.Now()}
	if len(s.copies) >= maxCopies || s.copying >= maxCopying {
		return c
	}
	fd, err := unix.MemfdCreate("hotpath-copy", unix.MFD_CLOEXEC)
	if err != nil {
		s.logger.Warn("Cannot keep what a process counted last", zap.Error(err))
		return c
	}
	c.fd = fd
	return c
}

// ended takes the last values of a process.
func (s *source) ended(n notice) {
	known := len(s.processes[n.pid]) > 0
	// What was copied for nothing, since it was not known to be open, may be cut.
	cut := n.offset > 0 && !slices.ContainsFunc(s.processes[n.pid], func(seg *segments.Segment) bool { return seg.Origin.(*origin).address == 0 })
	copies := s.copies[n.pid]
	delete(s.copies, n.pid)
	for _, c := range copies {
		switch taken := s.takeCopy(c, n.pid); {
		case taken:
			known = true
			cut = cut || c.cut || n.offset > 0
		case c.fd < 0:
			cut = true
		}
	}
	o := &origin{pid: n.pid}
	switch {
	case cut:
		s.miss(o, errNotCopied, "Some of what a process counted last could not be copied")
	case !known && !s.loaded.exact:
		s.miss(o, errTooShort, "A process ended before its segment could be read")
	}
	s.settle(n.pid, settleTries, settleAfter)
}

// endLost takes copies of processes whose end was not heard of.
func (s *source) endLost() {
	for pid, copies := range s.copies {
		if time.Since(copies[0].began) >= copyAtMost {
			s.ended(notice{kind: noticeEnded, pid: pid})
		}
	}
}

func (s *source) miss(o *origin, reason segment.Reason, what string) {
	s.tel.SegmentSkipped(string(reason))
	s.logger.Warn(what, zap.String("name", o.Name()), zap.String("reason", string(reason)))
}

// takeCopy admits a copy. It returns false if the segment was opened at the last moment, or the copy is no good.
func (s *source) takeCopy(c *copied, pid uint32) bool {
	o := &origin{source: s, pid: pid, pages: c.pages}
	seg, err := s.admitCopy(c, o)
	if err != nil {
		c.close()
		s.copying -= c.pages
		if reason := segment.ReasonOf(err, segments.ErrUnreadable); reason != segments.ErrDuplicate && c.fd >= 0 {
			s.tel.SegmentSkipped(string(reason))
			s.logger.Warn("Not reading the copy of a segment", zap.String("name", o.Name()), zap.String("reason", string(reason)), zap.Error(err))
		}
		return false
	}
	o.segment = seg
	seg.Scope = uint64(pid)
	seg.Who.PID = uint64(pid)
	seg.Seen = seg.Start() < s.started
	s.processes[pid] = append(s.processes[pid], seg)
	return true
}

func (s *source) admitCopy(c *copied, o *origin) (*segments.Segment, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(c.fd, &st); err != nil {
		return nil, fmt.Errorf("stat copy: %w", err)
	}
	return s.set.Admit(c.fd, &st, c.uid, o)
}

// complete gives the copy the size that it says it has.
func (c *copied) complete() error {
	var head [pageSize]byte
	n, err := unix.Pread(c.fd, head[:], 0)
	if err != nil {
		return fmt.Errorf("read copy: %w", err)
	}
	header, err := segment.ParseHeader(head[:n], math.MaxInt64)
	if err != nil {
		return err
	}
	if header.RingsUsed > 0 { // the program copies what holds totals
		c.cut = true
		if _, err := unix.Pwrite(c.fd, make([]byte, 8), layout.OffRingsUsed); err != nil {
			return fmt.Errorf("write copy: %w", err)
		}
	}
	if err := unix.Ftruncate(c.fd, header.FileSize); err != nil {
		return fmt.Errorf("%w: size copy: %w", segment.ErrHeader, err)
	}
	return nil
}

// settle takes the last readings of a process's segments, as soon as its memory is gone.
func (s *source) settle(pid uint32, tries int, after time.Duration) {
	for _, seg := range append([]*segments.Segment(nil), s.processes[pid]...) {
		s.set.Finish(seg)
	}
	if len(s.processes[pid]) == 0 || tries == 0 {
		return // or a child has it too: each collection asks
	}
	p := s.loaded
	time.AfterFunc(after, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.loaded == p && p != nil {
			s.settle(pid, tries-1, 2*after)
		}
	})
}
