package probe

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// pair is the programs for places of the same constants. They are closed with the last file that they are attached to.
type pair struct {
	constants     probeConfig
	hit, returned *ebpf.Program // the latter nil for probes that need none
	users         int
}

// with returns the programs for places that have these constants, which the caller releases.
func (l *loaded) with(c *common, constants probeConfig) (*pair, error) {
	p := l.programs[constants]
	if p == nil {
		loaded, err := l.load(c, constants)
		if err != nil {
			return nil, err
		}
		// The others hold a descriptor each of all maps.
		p = &pair{constants: constants, hit: loaded.DetachProgram(probeProgHit), returned: loaded.DetachProgram(probeProgReturned)}
		loaded.Close()
		l.programs[constants] = p
	}
	p.users++
	return p, nil
}

// load loads programs. Where they may sleep and the kernel does not let them (before Linux 6.0), they don't.
func (l *loaded) load(c *common, constants probeConfig) (*ebpf.Collection, error) {
	spec := l.spec.Copy()
	if err := spec.Variables[probeVarProbe].Set(constants); err != nil {
		return nil, fmt.Errorf("set %s: %w", probeVarProbe, err)
	}
	if constants.MaySleep != 0 {
		for _, program := range spec.Programs {
			program.Flags |= unix.BPF_F_SLEEPABLE
		}
	}
	replacements := c.shared()
	for name, m := range l.maps {
		replacements[name] = m
	}
	loaded, err := ebpf.NewCollectionWithOptions(spec, c.options(replacements))
	if err != nil && constants.MaySleep != 0 {
		constants.MaySleep = 0
		return l.load(c, constants)
	}
	return loaded, err
}

func (l *loaded) release(p *pair) error {
	if p.users--; p.users > 0 {
		return nil
	}
	delete(l.programs, p.constants)
	missed, err := p.missed()
	l.missed += missed
	return errors.Join(err, p.hit.Close(), p.returned.Close())
}

// missed counts hits for which the kernel did not run the programs.
func (p *pair) missed() (n uint64, err error) {
	for _, program := range []*ebpf.Program{p.hit, p.returned} {
		if program == nil {
			continue
		}
		stats, err := program.Stats()
		if err != nil {
			return n, fmt.Errorf("read statistics: %w", err)
		}
		n += stats.RecursionMisses
	}
	return n, nil
}
