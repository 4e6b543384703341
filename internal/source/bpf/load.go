package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/capability"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/kernel"
)

// programs are the BPF programs (segments.bpf.c) as the kernel runs them.
type programs struct {
	collection *ebpf.Collection
	links      []link.Link
	notices    *ringbuf.Reader
	// descriptors and mappings list the segments of all processes.
	descriptors, mappings *link.Iter
	// exact says that what a process counted in its last moments is copied even if nobody had its segment open.
	exact bool
}

// load has the kernel run the programs, which look for files of a device. The error says what is missing and how to get it.
func load(device uint64) (*programs, error) {
	types, err := kernel.Types()
	if err != nil {
		return nil, err
	}
	spec, err := loadSegments()
	if err != nil {
		return nil, err
	}
	p := &programs{exact: memoryAtExit(types)}
	if err := spec.Variables[segmentsVarMemoryAtExit].Set(kernel.Bool(p.exact)); err != nil {
		return nil, fmt.Errorf("set %s: %w", segmentsVarMemoryAtExit, err)
	}
	if err := spec.Variables[segmentsVarDevice].Set(unix.Major(device)<<20 | unix.Minor(device)); err != nil { // as in linux/kdev_t.h
		return nil, fmt.Errorf("set %s: %w", segmentsVarDevice, err)
	}
	if p.collection, err = ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{KernelTypes: types}}); err != nil {
		return nil, explain(err)
	}
	if err := p.attach(); err != nil {
		return nil, errors.Join(explain(err), p.close())
	}
	return p, nil
}

func (p *programs) attach() error {
	for _, name := range []string{segmentsProgAnnounced, segmentsProgEnded} {
		l, err := link.AttachTracing(link.TracingOptions{Program: p.collection.Programs[name]})
		if err != nil {
			return fmt.Errorf("attach program %s: %w", name, err)
		}
		p.links = append(p.links, l)
	}
	var err error
	if p.descriptors, err = link.AttachIter(link.IterOptions{Program: p.collection.Programs[segmentsProgDescriptors]}); err != nil {
		return fmt.Errorf("attach program %s: %w", segmentsProgDescriptors, err)
	}
	if p.mappings, err = link.AttachIter(link.IterOptions{Program: p.collection.Programs[segmentsProgMappings]}); err != nil {
		return fmt.Errorf("attach program %s: %w", segmentsProgMappings, err)
	}
	if p.notices, err = ringbuf.NewReader(p.collection.Maps[segmentsMapNotices]); err != nil {
		return fmt.Errorf("read ring buffer: %w", err)
	}
	return nil
}

func (p *programs) close() error {
	var errs []error
	if p.notices != nil {
		errs = append(errs, p.notices.Close())
	}
	for _, l := range p.links {
		errs = append(errs, l.Close())
	}
	for _, it := range []*link.Iter{p.descriptors, p.mappings} {
		if it != nil {
			errs = append(errs, it.Close())
		}
	}
	if p.collection != nil {
		p.collection.Close()
	}
	return errors.Join(errs...)
}

// lost is how many notices the kernel had no room for, since the beginning, by CPU.
func (p *programs) lost() (perCPU []uint64, err error) {
	if err := p.collection.Maps[segmentsMapLost].Lookup(uint32(0), &perCPU); err != nil {
		return nil, fmt.Errorf("count lost notices: %w", err)
	}
	return perCPU, nil
}

// watch has the end of a process told.
func (p *programs) watch(pid uint32) error {
	err := p.collection.Maps[segmentsMapProcesses].Update(pid, segmentsProcess{}, ebpf.UpdateNoExist)
	if errors.Is(err, ebpf.ErrKeyExist) {
		return nil
	}
	return err
}

// sweep forgets processes that had ended already when they were to be watched.
func (p *programs) sweep() error {
	var pid uint32
	var over []uint32
	all := p.collection.Maps[segmentsMapProcesses].Iterate()
	for all.Next(&pid, &segmentsProcess{}) {
		if errors.Is(unix.Kill(int(pid), 0), unix.ESRCH) {
			over = append(over, pid)
		}
	}
	for _, pid := range over {
		_ = p.collection.Maps[segmentsMapProcesses].Delete(pid) // its end may come in between
	}
	return all.Err()
}

// hold says that the collector has a segment open: nothing has to be copied when its process ends.
func (p *programs) hold(pid uint32, address uint64) error {
	return p.collection.Maps[segmentsMapHolds].Put(segmentsHeld{Address: address, Tgid: pid}, uint8(1))
}

// release is the contrary of hold. What is not there needs none.
func (p *programs) release(pid uint32, address uint64) {
	_ = p.collection.Maps[segmentsMapHolds].Delete(segmentsHeld{Address: address, Tgid: pid})
}

// memoryAtExit says whether a process's memory is still there when sched_process_exit tells of its end. It is since the
// tracepoint got a third parameter (Linux 6.16).
func memoryAtExit(types *btf.Spec) bool {
	const context, task, groupDead = 1, 1, 1
	var t *btf.Typedef
	if types.TypeByName("btf_trace_sched_process_exit", &t) != nil {
		return false
	}
	p, ok := t.Type.(*btf.Pointer)
	if !ok {
		return false
	}
	f, ok := p.Target.(*btf.FuncProto)
	return ok && len(f.Params) == context+task+groupDead
}

// explain makes a sentence of what the kernel answers.
func explain(err error) error {
	switch {
	case kernel.Denied(err):
		if kernel.LockedDown("confidentiality") {
			return errors.New("this kernel is locked down for confidentiality, so that BPF programs may not read memory: " +
				"the bpf source needs lockdown=integrity or none; the source shm works")
		}
		if len(capability.Lacking(capability.BPF, capability.Perfmon)) == 0 {
			return errors.New("no right to load BPF programs, though this process has the capabilities: a seccomp profile refuses bpf(2), " +
				"or the capabilities are those of a user namespace, where they don't count for BPF")
		}
		return errors.New("no right to load BPF programs: the bpf source needs the capabilities CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE " +
			"(AmbientCapabilities= in a systemd unit, securityContext.capabilities.add in Kubernetes), or root")
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("this kernel lacks what the bpf source needs, which is Linux 5.12 or later; the source shm works on any: %w", err)
	}
	return fmt.Errorf("load BPF programs: %w", err)
}
