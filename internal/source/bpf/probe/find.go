package probe

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/source/bpf/procfile"
)

const (
	// How often files are looked for.
	findEvery = 5 * time.Second
	// maxFiles is how many a probe is attached to at most.
	maxFiles = 256
	// A file that nobody has mapped is let go of after so many looks, unless its path still leads to it.
	unmappedLooks = 12
	// maxRefused bounds how many files are remembered that could not be attached to.
	maxRefused = 4096
)

// fileID tells files apart.
type fileID struct{ device, inode uint64 }

// mapped is a file that a process has mapped as code.
type mapped struct {
	id         fileID
	start, end uint64
	tid        uint32
	name       string
}

const mappedSize = 3*8 + 2*4 + maxExecutable + 1

// parseMapped takes a record of what the iterator lists. The kernel's device numbers have 20 bits of minor.
func parseMapped(b *[mappedSize]byte) mapped {
	device := binary.NativeEndian.Uint32(b[24:])
	name, _, _ := strings.Cut(string(b[32:]), "\x00")
	return mapped{
		id:    fileID{unix.Mkdev(device>>20, device&(1<<20-1)), binary.NativeEndian.Uint64(b[:])},
		start: binary.NativeEndian.Uint64(b[8:]), end: binary.NativeEndian.Uint64(b[16:]),
		tid: binary.NativeEndian.Uint32(b[28:]), name: name,
	}
}

// find attaches probes to the files that there are by now, and returns what keeps probes of one path from it.
func (s *Source) find() error {
	var errs []error
	needed := false
	for _, p := range s.probes {
		if err := s.findCgroup(p); err != nil {
			errs = append(errs, fmt.Errorf("probes::%d: %w", p.number, err))
		}
		if p.byName() {
			needed = true
			continue
		}
		if err := s.findPath(p); err != nil {
			errs = append(errs, fmt.Errorf("probes::%d: %w", p.number, err))
		}
		needed = needed || len(p.files) > len(p.current)
	}
	if needed {
		if err := s.findMapped(); err != nil {
			errs = append(errs, err)
		}
	}
	for _, p := range s.probes {
		if none := len(p.files)+len(p.refused) == 0; none != p.noFile {
			p.noFile = none
			if none {
				s.logger.Warn("There is no file yet for a probe", zap.String("probe", p.cfg.where()), zap.String("binary", p.cfg.binary()))
			}
		}
	}
	return errors.Join(errs...)
}

// findPath attaches to the files that a path or pattern leads to.
func (s *Source) findPath(p *probe) error {
	pattern := p.cfg.binary()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return fmt.Errorf("binary: %w", err)
	}
	clear(p.current)
	var errs []error
	for _, name := range paths {
		f, st, err := procfile.Open(name)
		if err == nil {
			id := fileID{st.Dev, st.Ino}
			p.current[id] = struct{}{}
			err = s.take(p, f, id, st, name)
			f.Close()
		}
		if err != nil && !strings.ContainsAny(pattern, `*?[\`) {
			errs = append(errs, fmt.Errorf("binary %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// findMapped attaches to files of which processes have code mapped, and lets go of those that nobody has.
func (s *Source) findMapped() error {
	in, err := s.common.mappings.Open()
	if err != nil {
		return fmt.Errorf("list mappings: %w", err)
	}
	defer func() { _ = in.Close() }()
	seen := map[fileID]struct{}{}
	var record [mappedSize]byte
	for r := bufio.NewReaderSize(procfile.Paused{Reader: in}, 1<<16); ; {
		if _, err := io.ReadFull(r, record[:]); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("list mappings: %w", err)
		}
		m := parseMapped(&record)
		if _, again := seen[m.id]; again {
			continue
		}
		seen[m.id] = struct{}{}
		for _, p := range s.probes {
			if p.byName() {
				s.findIn(p, &m)
			}
		}
	}
	for _, p := range s.probes {
		s.release(p, seen)
	}
	return nil
}

func (s *Source) findIn(p *probe, m *mapped) {
	if ok, _ := path.Match(p.cfg.binary(), m.name); !ok || p.files[m.id] != nil {
		return
	}
	f, st, err := procfile.OpenMapping(m.tid, m.start, m.end)
	if err != nil {
		if err = explainMapping(err, m.tid); err != nil {
			_ = s.refuse(p, m.id, unix.Timespec{}, m.name, err)
		}
		return
	}
	defer f.Close()
	_ = s.take(p, f, m.id, st, fmt.Sprintf("%s of process %d", m.name, m.tid))
}

// release lets go of files that neither a path leads to nor a process has mapped.
func (s *Source) release(p *probe, seen map[fileID]struct{}) {
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

// refusal is why a file is not attached to.
type refusal struct {
	modified unix.Timespec
	err      error
}

// take attaches a probe to a file, unless it is already. The error of one that was refused, and has not changed, is that of the first time.
func (s *Source) take(p *probe, f *os.File, id fileID, st *unix.Stat_t, name string) error {
	if a := p.files[id]; a != nil {
		if a.modified == st.Mtim {
			return nil
		}
		// It was written to: its instructions are elsewhere now.
		delete(p.files, id)
		if err := a.close(); err != nil {
			return err
		}
	}
	if r, known := p.refused[id]; known && r.modified == st.Mtim {
		return r.err
	}
	if len(p.files) >= maxFiles {
		err := fmt.Errorf("the probe is attached to %d files already", maxFiles)
		if !p.full {
			p.full = true
			s.logger.Warn("Cannot attach a probe to another file", zap.String("probe", p.cfg.where()), zap.String("file", name), zap.Error(err))
		}
		return err // there may be room for it later
	}
	p.full = false
	links, err := p.attach(s.common, f)
	if err != nil {
		return s.refuse(p, id, st.Mtim, name, err)
	}
	delete(p.refused, id)
	p.files[id] = &attached{name: name, modified: st.Mtim, links: links}
	s.logger.Info("Probe attached", zap.String("probe", p.cfg.where()), zap.String("file", name), zap.Int("links", len(links)))
	return nil
}

func (s *Source) refuse(p *probe, id fileID, modified unix.Timespec, name string, err error) error {
	if len(p.refused) >= maxRefused {
		clear(p.refused)
	}
	if r, known := p.refused[id]; !known || r.modified != modified {
		s.logger.Warn("Cannot attach a probe", zap.String("probe", p.cfg.where()), zap.String("file", name), zap.Error(err))
	}
	p.refused[id] = refusal{modified, err}
	return err
}

func (p *probe) byName() bool { return !strings.Contains(p.cfg.binary(), "/") }
