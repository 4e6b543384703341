package probe

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/hotpath-metrics/hotpath/internal/source/bpf/binary"
)

// Programs and links hold descriptors, of which users could take many with files of their own.
const (
	maxGroups = 32   // of places in a file, with programs of their own
	maxLinks  = 2048 // of a probe
)

// attached is a file that a probe is attached to.
type attached struct {
	name     string // in messages
	stamp    stamp
	links    []link.Link
	programs []*pair
	loaded   *loaded
	mapped   int // scans of mappings since it was last seen there
}

func (a *attached) close() error {
	var errs []error
	for _, l := range a.links {
		errs = append(errs, l.Close())
	}
	for _, p := range a.programs {
		errs = append(errs, a.loaded.release(p))
	}
	return errors.Join(errs...)
}

// groups are the places in a file where the probe goes, by the constants of the programs there.
func (p *probe) groups(f *os.File) (map[probeConfig][]place, error) {
	parsed, err := binary.Open(f)
	if err != nil {
		return nil, err
	}
	places, err := p.places(parsed)
	if err != nil {
		return nil, err
	}
	groups := map[probeConfig][]place{}
	for _, at := range places {
		groups[at.constants] = append(groups[at.constants], at)
	}
	if len(groups) > maxGroups {
		return nil, fmt.Errorf("its %d places have what is recorded in %d different registers and memory operands; at most %d are taken",
			len(places), len(groups), maxGroups)
	}
	return groups, nil
}

// attach puts the probe into a file.
func (p *probe) attach(c *common, f *os.File, groups map[probeConfig][]place) (a *attached, err error) {
	a = &attached{loaded: p.loaded}
	if n := p.links() + c.linksFor(groups, p.fixed.HasReturn != 0); n > maxLinks {
		return a, fmt.Errorf("the probe would have %d links: at most %d are taken", n, maxLinks)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	// The file that was looked at, whatever its path is by now.
	ex, err := link.OpenExecutable("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
	if err != nil {
		return a, err
	}
	for constants, group := range groups {
		programs, err := p.loaded.with(c, constants)
		if err != nil {
			return a, explainLoad(err)
		}
		a.programs = append(a.programs, programs)
		// The return first: a call that has begun before the other is attached is unmatched then, and does not stay in the table of calls.
		if programs.returned != nil {
			if a.links, err = c.link(a.links, ex, programs.returned, group, true); err != nil {
				return a, c.explainAttach(err)
			}
		}
		if a.links, err = c.link(a.links, ex, programs.hit, group, false); err != nil {
			return a, c.explainAttach(err)
		}
	}
	return a, nil
}

func (p *probe) links() (n int) {
	for _, a := range p.files {
		n += len(a.links)
	}
	return n
}

func (c *common) linksFor(groups map[probeConfig][]place, withReturn bool) (n int) {
	for _, places := range groups {
		if c.multi {
			n++
		} else {
			n += len(places)
		}
	}
	if withReturn {
		n *= 2
	}
	return n
}

// link attaches a program to all places at once where the kernel can, else one by one.
func (c *common) link(links []link.Link, ex *link.Executable, program *ebpf.Program, places []place, ret bool) ([]link.Link, error) {
	if !c.multi {
		attach := ex.Uprobe
		if ret {
			attach = ex.Uretprobe
		}
		for _, at := range places {
			l, err := attach("", program, &link.UprobeOptions{Address: at.offset, RefCtrOffset: at.semaphore})
			if err != nil {
				return links, fmt.Errorf("attach at %#x: %w", at.offset, err)
			}
			links = append(links, l)
		}
		return links, nil
	}
	attach := ex.UprobeMulti
	if ret {
		attach = ex.UretprobeMulti
	}
	var o link.UprobeMultiOptions
	semaphores := false
	for _, at := range places {
		o.Addresses = append(o.Addresses, at.offset)
		o.RefCtrOffsets = append(o.RefCtrOffsets, at.semaphore)
		semaphores = semaphores || at.semaphore != 0
	}
	if !semaphores {
		o.RefCtrOffsets = nil
	}
	l, err := attach(nil, program, &o)
	if err != nil {
		return links, fmt.Errorf("attach at %#x: %w", o.Addresses, err)
	}
	return append(links, l), nil
}
