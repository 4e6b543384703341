package probe

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/kernel"
)

// offers is what the running kernel does.
type offers struct {
	types *btf.Spec
	// multi says that it attaches a program to many places at once (Linux 6.6).
	multi bool
	// rewritesNops says that it emulates nops of several bytes, and turns those of 5 into calls (x86-64, Linux 6.18).
	rewritesNops bool
}

func inspect() (offers, error) {
	types, err := kernel.Types()
	if err != nil {
		return offers{}, err
	}
	var uprobe *btf.Func
	return offers{
		types:        types,
		multi:        features.HaveBPFLinkUprobeMulti() == nil,
		rewritesNops: types.TypeByName("__x64_sys_uprobe", &uprobe) == nil,
	}, nil
}

// common is what all probes share: the table of processes, and the ring buffer of those that send events.
type common struct {
	offers
	programs  *ebpf.Collection // processes.bpf.c
	processes *ebpf.Map
	charges   charges
	lives     []link.Link // what hears of processes' ends and execs
	mappings  *link.Iter
	looked    bool      // for files
	next      turn      // at which the next look through mappings goes on, if the last took too long
	events    *ebpf.Map // nil without probes that send any, as are the next two
	lost      *ebpf.Map
	reader    *ringbuf.Reader
}

func loadCommon(k offers, maxProcesses int, withEvents bool) (c *common, err error) {
	c = &common{offers: k}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	spec, err := loadProcesses()
	if err != nil {
		return c, err
	}
	spec.Maps[processesMapProcesses].MaxEntries = uint32(maxProcesses)
	if features.HaveProgramHelper(ebpf.RawTracepoint, asm.FnFindVma) != nil {
		delete(spec.Programs, processesProgIdentify)
	}
	if c.programs, err = ebpf.NewCollectionWithOptions(spec, k.options(nil)); err != nil {
		return c, err
	}
	c.processes = c.programs.Maps[processesMapProcesses]
	c.charges = charges{users: c.programs.Maps[processesMapUsers], back: map[uint32]*processesUser{}, due: map[uint32]struct{}{}}
	for _, name := range []string{processesProgEnded, processesProgExecuted} {
		l, err := link.AttachTracing(link.TracingOptions{Program: c.programs.Programs[name]})
		if err != nil {
			return c, fmt.Errorf("attach program %s: %w", name, err)
		}
		c.lives = append(c.lives, l)
	}
	if c.mappings, err = link.AttachIter(link.IterOptions{Program: c.programs.Programs[processesProgMappings]}); err != nil {
		return c, fmt.Errorf("attach program %s: %w", processesProgMappings, err)
	}
	if !withEvents {
		return c, nil
	}
	if spec, err = loadProbe(); err != nil {
		return c, err
	}
	if c.events, err = ebpf.NewMap(spec.Maps[probeMapEvents]); err != nil {
		return c, err
	}
	if c.lost, err = ebpf.NewMap(spec.Maps[probeMapLost]); err != nil {
		return c, err
	}
	if c.reader, err = ringbuf.NewReader(c.events); err != nil {
		return c, fmt.Errorf("read ring buffer: %w", err)
	}
	return c, nil
}

func (c *common) close() error {
	var errs []error
	if c.reader != nil {
		errs = append(errs, c.reader.Close())
	}
	for _, m := range []*ebpf.Map{c.events, c.lost} {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	for _, l := range c.lives {
		errs = append(errs, l.Close())
	}
	if c.mappings != nil {
		errs = append(errs, c.mappings.Close())
	}
	if c.programs != nil {
		c.programs.Close()
	}
	return errors.Join(errs...)
}

func (k *offers) options(replacements map[string]*ebpf.Map) ebpf.CollectionOptions {
	return ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{KernelTypes: k.types}, MapReplacements: replacements}
}

// loaded is a probe in the kernel: its maps, and its programs, once for each of the constants that its places have.
type loaded struct {
	spec     *ebpf.CollectionSpec
	maps     map[string]*ebpf.Map
	programs map[probeConfig]*pair
	missed   uint64 // by the kernel, with programs that are closed
}

// load makes the maps of a probe.
func (c *common) load(p *probe) (l *loaded, err error) {
	l = &loaded{maps: map[string]*ebpf.Map{}, programs: map[probeConfig]*pair{}}
	if l.spec, err = loadProbe(); err != nil {
		return l, err
	}
	c.shape(l.spec, p)
	if p.cfg.Metric.Kind() == emit.KindHistogram {
		if err := l.spec.Variables[probeVarThresholds].Set(thresholds(p.cfg.scale())); err != nil {
			return l, fmt.Errorf("set %s: %w", probeVarThresholds, err)
		}
	}
	shared := c.shared()
	for name, m := range l.spec.Maps {
		if name == constantsMap || shared[name] != nil {
			continue
		}
		own, err := ebpf.NewMap(m)
		if err != nil {
			return l, errors.Join(fmt.Errorf("make map %s: %w", name, err), l.close())
		}
		l.maps[name] = own
	}
	return l, nil
}

// shared are the maps that all probes have in common.
func (c *common) shared() map[string]*ebpf.Map {
	maps := map[string]*ebpf.Map{probeMapProcesses: c.processes, probeMapUsers: c.charges.users}
	if c.events != nil {
		maps[probeMapEvents], maps[probeMapLost] = c.events, c.lost
	}
	return maps
}

// constantsMap has the constants of programs.
const constantsMap = ".rodata"

// shape fits maps and programs to what the probe uses.
func (c *common) shape(spec *ebpf.CollectionSpec, p *probe) {
	spec.Maps[probeMapProcesses].MaxEntries = c.processes.MaxEntries()
	values := spec.Maps[probeMapValues]
	values.MaxEntries = p.fixed.MaxEntries + p.fixed.Reserve
	values.KeySize, values.Key, values.Value = p.fixed.KeySize, nil, nil
	if p.cfg.Metric.Kind() == emit.KindGauge {
		values.Type = ebpf.Hash // the last one wins, on whatever CPU
	}
	if p.fixed.Folds != 0 {
		spec.Maps[probeMapShares].MaxEntries = c.processes.MaxEntries() + c.charges.users.MaxEntries()
	}
	calls := spec.Maps[probeMapCalls]
	calls.ValueSize, calls.Key, calls.Value = 8+p.fixed.KeySize, nil, nil
	if c.multi {
		for _, program := range spec.Programs {
			program.AttachType = ebpf.AttachTraceUprobeMulti
		}
	}
	if c.events == nil {
		spec.Maps[probeMapEvents].MaxEntries = uint32(os.Getpagesize())
	}
	if p.fixed.HasReturn == 0 {
		delete(spec.Programs, probeProgReturned)
		calls.MaxEntries = 1
	}
}

func (l *loaded) close() error {
	var errs []error
	for _, m := range l.maps {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}
