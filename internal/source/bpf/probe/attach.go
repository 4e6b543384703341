package probe

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/source/bpf/binary"
)

// attached is a file that a probe is attached to.
type attached struct {
	name     string // in messages
	modified unix.Timespec
	links    []link.Link
	mapped   int // scans of mappings since it was last seen there
}

func (a *attached) close() error {
	var errs []error
	for _, l := range a.links {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// attach puts the probe into a file.
func (p *probe) attach(c *common, f *os.File) (links []link.Link, err error) {
	parsed, err := binary.Open(f)
	if err != nil {
		return nil, err
	}
	places, err := p.places(parsed)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			a := attached{links: links}
			err = errors.Join(err, a.close())
			links = nil
		}
	}()
	// The file that was looked at, whatever its path is by now.
	ex, err := link.OpenExecutable("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
	if err != nil {
		return nil, err
	}
	for constants, group := range grouped(places) {
		programs, err := p.loaded.with(c, constants)
		if err != nil {
			return links, explainLoad(err)
		}
		// The return first: a call that has begun before the other is attached is unmatched then, and does not stay in the table of calls.
		if program := programs.Programs[probeProgReturned]; program != nil {
			if links, err = c.link(links, ex, program, group, true); err != nil {
				return links, c.explainAttach(err)
			}
		}
		if links, err = c.link(links, ex, programs.Programs[probeProgHit], group, false); err != nil {
			return links, c.explainAttach(err)
		}
	}
	return links, nil
}

func grouped(places []place) map[probeConfig][]place {
	groups := map[probeConfig][]place{}
	for _, at := range places {
		groups[at.constants] = append(groups[at.constants], at)
	}
	return groups
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
