package probe

import (
	"fmt"
	"maps"
	"os"

	"go.uber.org/zap"
)

const (
	// maxFiles is how many a probe is attached to at most.
	maxFiles = 256
	// maxRefused bounds how many files are remembered that could not be attached to.
	maxRefused = 1024
)

// refusal is why a file is not attached to.
type refusal struct {
	stamp  stamp
	err    error
	passes bool // it is not for what is in the file
}

// take attaches a probe to a file, unless it is already. The error of one whose contents were refused, and that has not changed, is that of
// the first time.
func (s *Source) take(p *probe, f *os.File, id fileID, stamp stamp, name string) error {
	if a := p.files[id]; a != nil {
		if a.stamp == stamp {
			return nil
		}
		// It was written to: its instructions are elsewhere now.
		delete(p.files, id)
		if err := a.close(); err != nil {
			return err
		}
	}
	if r, known := p.refused[id]; known && !r.passes && r.stamp == stamp {
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
	groups, err := p.groups(f)
	if err != nil {
		return s.refuse(p, id, name, refusal{stamp: stamp, err: err})
	}
	a, err := p.attach(s.common, f, groups)
	if err != nil {
		return s.refuse(p, id, name, refusal{stamp: stamp, err: err, passes: true})
	}
	delete(p.refused, id)
	a.name, a.stamp = name, stamp
	p.files[id] = a
	s.logger.Info("Probe attached", zap.String("probe", p.cfg.where()), zap.String("file", name), zap.Int("links", len(a.links)))
	return nil
}

// refuse remembers why, and says so the first time.
func (s *Source) refuse(p *probe, id fileID, name string, r refusal) error {
	last, known := p.refused[id]
	if !known && len(p.refused) >= maxRefused {
		if !p.crowded {
			p.crowded = true
			s.logger.Warn("Cannot attach a probe to many files; no more of them are mentioned", zap.String("probe", p.cfg.where()), zap.Int("files", maxRefused))
		}
		return r.err
	}
	p.refused[id] = r
	if !known || last.passes != r.passes || last.stamp != r.stamp {
		s.logger.Warn("Cannot attach a probe", zap.String("probe", p.cfg.where()), zap.String("file", name), zap.Error(r.err))
	}
	return r.err
}

// forgetGone makes room for other refusals than those of files that are gone.
func (s *Source) forgetGone(p *probe, seen map[fileID]bool) {
	maps.DeleteFunc(p.refused, func(id fileID, _ refusal) bool {
		_, current := p.current[id]
		_, inUse := seen[id]
		return !current && !inUse
	})
	p.crowded = p.crowded && len(p.refused) > maxRefused/2
}
