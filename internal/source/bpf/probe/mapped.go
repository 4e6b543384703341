package probe

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/source/bpf/kernel"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/procfile"
)

// A file that nobody has mapped is let go of after so many looks, unless its path still leads to it.
const unmappedLooks = 12

// mapped is a file that a process has mapped as code.
type mapped struct {
	id         fileID
	start, end uint64
	tid        uint32
	name       string
}

const mappedSize = 3*8 + 2*4 + maxExecutable + 1

// parseMapped takes a record of what the iterator lists.
func parseMapped(b *[mappedSize]byte) mapped {
	name, _, _ := strings.Cut(string(b[32:]), "\x00")
	return mapped{
		id:    kernelID(binary.NativeEndian.Uint32(b[24:]), binary.NativeEndian.Uint64(b[:])),
		start: binary.NativeEndian.Uint64(b[8:]), end: binary.NativeEndian.Uint64(b[16:]),
		tid: binary.NativeEndian.Uint32(b[28:]), name: name,
	}
}

// turn is when a probe looks into a mapping: they are listed by thread and address.
type turn struct {
	tid   uint32
	start uint64
	probe int
}

func (t turn) before(u turn) bool {
	return cmp.Or(cmp.Compare(t.tid, u.tid), cmp.Compare(t.start, u.start), cmp.Compare(t.probe, u.probe)) < 0
}

// walk is one through all mappings.
type walk struct {
	since, next turn // where the last one stopped to look into files, and where this one did
	left        time.Duration
	seen        map[fileID]bool // and need no other look
}

// findMapped attaches to files of which processes have code mapped, and lets go of those that nobody has.
func (s *Source) findMapped(w *walk) error {
	in, err := s.common.mappings.Open()
	if err != nil {
		return fmt.Errorf("list mappings: %w", err)
	}
	defer func() { _ = in.Close() }()
	var record [mappedSize]byte
	for r := bufio.NewReaderSize(procfile.Paused{Reader: in}, 1<<16); ; {
		if _, err := io.ReadFull(r, record[:]); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("list mappings: %w", err)
		}
		if m := parseMapped(&record); !w.seen[m.id] {
			w.seen[m.id] = s.findIn(w, &m)
		}
	}
	for _, p := range s.probes {
		s.release(p, w.seen)
	}
	return nil
}

// findIn says whether no other mapping of the file needs to be looked at.
func (s *Source) findIn(w *walk, m *mapped) bool {
	settled := true
	for _, p := range s.probes {
		if ok, _ := path.Match(p.cfg.binary(), m.name); !ok || p.files[m.id] != nil {
			continue
		}
		at := turn{m.tid, m.start, p.number}
		switch {
		case at.before(w.since):
			settled = false
		case w.left <= 0:
			if w.next == (turn{}) {
				w.next = at
			}
			settled = false
		default:
			began := time.Now()
			settled = s.takeMapping(p, m) && settled
			w.left -= time.Since(began)
		}
	}
	return settled
}

// takeMapping says whether it was the file. A process can map another there meanwhile.
func (s *Source) takeMapping(p *probe, m *mapped) bool {
	f, st, err := procfile.OpenMapping(m.tid, m.start, m.end)
	if err != nil {
		settled := kernel.Denied(err)
		if err = explainMapping(err, m.tid); err == nil {
			return false
		}
		if _, known := p.refused[m.id]; !known {
			_ = s.refuse(p, m.id, m.name, refusal{err: err, passes: true})
		}
		return settled
	}
	defer f.Close()
	if id, err := s.common.identity(f, m.id); err != nil || id != m.id {
		return false
	}
	_ = s.take(p, f, m.id, stampOf(st), fmt.Sprintf("%s of process %d", m.name, m.tid))
	return true
}

// release lets go of files that neither a path leads to nor a process has mapped.
func (s *Source) release(p *probe, seen map[fileID]bool) {
	for id, a := range p.files {
		_, current := p.current[id]
		_, inUse := seen[id]
		if a.mapped++; current || inUse {
			a.mapped = 0
		}
		if a.mapped >= unmappedLooks {
			delete(p.files, id)
			s.logger.Info("Letting go of a file that no process runs any more", zap.String("file", a.name), zap.String("probe", p.cfg.where()))
			if err := a.close(); err != nil {
				s.logger.Warn("Cannot detach a probe", zap.Error(err))
			}
		}
	}
}
