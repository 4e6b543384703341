package probe

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/source/bpf/procfile"
)

const (
	// How often files are looked for.
	findEvery = 5 * time.Second
	// How long a look goes into files that it finds by patterns and names, of which users may have made many; the next one goes on from
	// there. Nothing waits for the first.
	lookFor, firstLookFor = time.Second, 10 * time.Second
)

// find attaches probes to the files that there are by now, and returns what keeps probes of one path from it.
func (s *Source) find() error {
	var errs []error
	var byName time.Duration
	needed := false
	share := lookFor / time.Duration(len(s.probes))
	if !s.common.looked {
		s.common.looked, share = true, firstLookFor/time.Duration(len(s.probes))
	}
	for _, p := range s.probes {
		if err := s.findCgroup(p); err != nil {
			errs = append(errs, fmt.Errorf("probes::%d: %w", p.number, err))
		}
		if p.byName() {
			needed, byName = true, byName+share
			continue
		}
		if err := s.findPath(p, share); err != nil {
			errs = append(errs, fmt.Errorf("probes::%d: %w", p.number, err))
		}
		needed = needed || len(p.files) > len(p.current)
	}
	w := walk{since: s.common.next, left: byName, seen: map[fileID]bool{}}
	if needed {
		if err := s.findMapped(&w); err != nil {
			return errors.Join(append(errs, err)...)
		}
	}
	s.common.next = w.next
	for _, p := range s.probes {
		s.forgetGone(p, w.seen)
		if none := len(p.files)+len(p.refused) == 0; none != p.noFile {
			p.noFile = none
			if none {
				s.warnNoFile(p)
			}
		}
	}
	return errors.Join(errs...)
}

func (s *Source) warnNoFile(p *probe) {
	s.logger.Warn("There is no file yet for a probe", zap.String("probe", p.cfg.where()), zap.String("binary", p.cfg.binary()))
}

// wildcards are what makes a path a pattern.
const wildcards = `*?[\`

// findPath attaches to the files that a path or pattern leads to.
func (s *Source) findPath(p *probe, left time.Duration) error {
	pattern := p.cfg.binary()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return fmt.Errorf("binary: %w", err)
	}
	slices.Sort(paths)
	isPattern := strings.ContainsAny(pattern, wildcards)
	before, since := p.current, p.next
	p.current, p.next = map[fileID]struct{}{}, ""
	var errs []error
	for _, name := range paths {
		if name < since {
			continue
		}
		if isPattern && left <= 0 {
			p.next = name
			break
		}
		began := time.Now()
		if err := s.takePath(p, name); err != nil && !isPattern {
			errs = append(errs, fmt.Errorf("binary %s: %w", name, err))
		}
		left -= time.Since(began)
	}
	if since != "" || p.next != "" {
		p.keep(before) // not all were looked at
	}
	return errors.Join(errs...)
}

func (s *Source) takePath(p *probe, name string) error {
	f, st, err := procfile.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	id, err := s.common.identity(f, fileID{st.Dev, st.Ino})
	if err != nil {
		return err
	}
	p.current[id] = struct{}{}
	return s.take(p, f, id, stampOf(st), name)
}

// keep has files stay current of which something is remembered.
func (p *probe) keep(before map[fileID]struct{}) {
	for id := range before {
		if _, refused := p.refused[id]; refused || p.files[id] != nil {
			p.current[id] = struct{}{}
		}
	}
}

func (p *probe) byName() bool { return !strings.Contains(p.cfg.binary(), "/") }

// stamp changes when somebody writes to a file, even if he sets its time of modification back.
type stamp struct {
	modified, changed unix.Timespec
	size              int64
}

func stampOf(st *unix.Stat_t) stamp { return stamp{st.Mtim, st.Ctim, st.Size} }
