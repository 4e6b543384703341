package probe

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"go.uber.org/zap"

	processes "github.com/hotpath-metrics/hotpath/internal/process"
	receiver "github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/procfile"
)

// Check does what Start does, but attaches nothing, so that no program notices: it has the kernel load the programs for each place in the
// files that probes name by their path. Its errors are those of Start.
func Check(configs Configs, limits Limits, logger *zap.Logger, telemetry receiver.EventTelemetry) (err error) {
	if err := processes.CheckNamespace(); err != nil {
		return fmt.Errorf("find processes: %w", err)
	}
	s := New(configs, false, limits, logger, telemetry)
	s.reset()
	defer func() { err = errors.Join(err, s.unload()) }()
	if err := s.load(); err != nil {
		return err
	}
	var errs []error
	for _, p := range s.probes {
		err := s.findCgroup(p)
		if name := p.cfg.binary(); err == nil && !p.byName() && !strings.ContainsAny(name, wildcards) {
			if err = s.checkPath(p, name); err != nil {
				err = fmt.Errorf("binary %s: %w", name, err)
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("probes::%d: %w", p.number, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Source) checkPath(p *probe, name string) error {
	f, _, err := procfile.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		s.warnNoFile(p)
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	groups, err := p.groups(f)
	if err != nil {
		return err
	}
	for constants := range groups {
		programs, err := p.loaded.with(s.common, constants)
		if err != nil {
			return explainLoad(err)
		}
		if err := p.loaded.release(programs); err != nil {
			return err
		}
	}
	return nil
}
