package bpf

import (
	"fmt"
	"math"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

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
	// maxCopying bounds what is held of copies that are not complete, in pages.
	maxCopying = 64 << 20 / pageSize
	// maxOffset is where a page of a segment lies below.
	maxOffset = 1 << 40
	// The kernel tells of the end before it takes the memory away: how often and how long that is waited for.
	settleTries = 8
	settleAfter = time.Millisecond
)

// place is where a process had a segment.
type place struct {
	pid     uint32
	address uint64
}

// copied is a segment as the kernel copies it from the memory of a process that ends, page by page.
type copied struct {
	fd    int // a memfd
	pages int
}

func (c *copied) close() { _ = unix.Close(c.fd) }

func (s *source) keepPage(n notice) {
	at := place{n.pid, n.address}
	c := s.copies[at]
	if c == nil {
		fd, err := unix.MemfdCreate("hotpath-copy", unix.MFD_CLOEXEC)
		if err != nil {
			s.logger.Warn("Cannot keep what a process counted last", zap.Error(err))
			return
		}
		c = &copied{fd: fd}
		s.copies[at] = c
	}
	if s.copying >= maxCopying || n.offset > maxOffset {
		return
	}
	if _, err := unix.Pwrite(c.fd, n.page, int64(n.offset)); err != nil {
		s.logger.Warn("Cannot keep what a process counted last", zap.Error(err))
		return
	}
	c.pages++
	s.copying++
}

// ended takes the last values of a process.
func (s *source) ended(n notice) {
	known := len(s.processes[n.pid]) > 0
	for at, c := range s.copies {
		if at.pid != n.pid {
			continue
		}
		delete(s.copies, at)
		s.copying -= c.pages
		known = s.takeCopy(c, n) || known
	}
	o := &origin{pid: n.pid}
	switch {
	case n.offset > 0:
		s.miss(o, errNotCopied, "Some of what a process counted last could not be copied")
	case !known && !s.loaded.exact:
		s.miss(o, errTooShort, "A process ended before its segment could be read")
	}
	s.settle(n.pid, settleTries, settleAfter)
}

func (s *source) miss(o *origin, reason segment.Reason, what string) {
	s.tel.SegmentSkipped(string(reason))
	s.logger.Warn(what, zap.String("name", o.Name()), zap.String("reason", string(reason)))
}

// takeCopy admits a copy, unless the segment was opened at the last moment.
func (s *source) takeCopy(c *copied, n notice) bool {
	o := &origin{source: s, pid: n.pid}
	err := c.complete()
	var st unix.Stat_t
	if err == nil {
		err = unix.Fstat(c.fd, &st)
	}
	var seg *segments.Segment
	if err == nil {
		seg, err = s.set.Admit(c.fd, &st, n.uid, o)
	}
	if err != nil {
		c.close()
		reason := segment.ReasonOf(err, segments.ErrUnreadable)
		if reason != segments.ErrDuplicate {
			s.tel.SegmentSkipped(string(reason))
			s.logger.Warn("Not reading the copy of a segment", zap.String("name", o.Name()), zap.String("reason", string(reason)), zap.Error(err))
		}
		return reason == segments.ErrDuplicate
	}
	o.segment = seg
	seg.Scope = uint64(n.pid)
	seg.Who.PID, seg.Who.UID = uint64(n.pid), n.uid
	seg.Seen = seg.Start() < s.started
	s.processes[n.pid] = append(s.processes[n.pid], seg)
	return true
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
