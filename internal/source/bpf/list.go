package bpf

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"time"

	"github.com/cilium/ebpf/link"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/source/bpf/procfile"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

const (
	// How often all processes are looked through for what was not announced, or not heard.
	listEvery = 10 * time.Second
	mapEvery  = time.Minute
	// listBuffer is how much of a list is read at once, in bytes.
	listBuffer = 64 << 10
	// Processes that have one segment by fork are asked whether they made it, up to so many.
	maxHaving = 64
)

// look looks through all processes, if it is time.
func (s *source) look() {
	now := time.Now()
	if now.Sub(s.listed) >= listEvery {
		s.listed = now
		s.listDescriptors()
	}
	if now.Sub(s.mapped) >= mapEvery {
		s.mapped = now
		s.list(s.loaded.mappings, func(m found) (*file, error) { return locate(procfile.MappingPath(m.tid, m.start, m.end), s.device) })
		maps.DeleteFunc(s.refused, func(_ segments.Key, r refusal) bool { return now.Sub(r.seen) > 2*mapEvery }) // it is gone
		if err := s.loaded.sweep(); err != nil {
			s.logger.Warn("Cannot forget processes that have ended", zap.Error(err))
		}
	}
}

func (s *source) listDescriptors() {
	s.list(s.loaded.descriptors, func(d found) (*file, error) { return locateDescriptor(d.tid, d.fd, s.device) })
}

// list takes the segments that the kernel lists. Those of a forked process may be its parent's.
func (s *source) list(of *link.Iter, locate func(found) (*file, error)) {
	having := map[segments.Key][]found{}
	owners := map[uint32]int{}
	err := each(of, func(one found) {
		key := segments.Key{Dev: s.device, Ino: one.inode}
		had := having[key]
		if len(had) == 0 {
			if s.hopeless(key, one.uid) || owners[one.uid] >= s.limits.SegmentsPerUID || len(having) >= s.limits.Segments {
				return
			}
			owners[one.uid]++
		}
		if len(had) == 0 || len(had) < maxHaving && had[len(had)-1].pid != one.pid {
			having[key] = append(had, one)
		}
	})
	if err != nil {
		s.logger.Warn("Cannot list segments", zap.Error(err))
	}
	for _, had := range having {
		for _, one := range had {
			f, err := locate(one)
			if err == nil {
				s.take(f, 0, pidsOf(had)...)
				f.close()
				break
			}
			if (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)) && len(s.processes[one.pid]) == 0 {
				s.forbid(one.pid, err)
			}
		}
	}
}

// each hands over what the kernel lists.
func each(of *link.Iter, hand func(found)) error {
	r, err := of.Open()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	var record [foundSize]byte
	for in := bufio.NewReaderSize(procfile.Paused{Reader: r}, listBuffer); ; {
		if _, err := io.ReadFull(in, record[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		hand(parseFound(&record))
	}
}

func pidsOf(all []found) (pids []uint32) {
	for _, one := range all {
		pids = append(pids, one.pid)
	}
	return pids
}
