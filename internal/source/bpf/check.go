package bpf

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/capability"
	"github.com/hotpath-metrics/hotpath/internal/segment"
)

// Check has the kernel run the programs for a moment, and finds the segment of a process that publish starts: both ways, as it announces
// it, and as the kernel lists it. Nobody else's segment is opened. The error is what Start says, or else what was not found; limits are what is
// worth a word where all is.
func Check(patience time.Duration, publish func() (pid int, err error)) (limits []string, err error) {
	device, p, err := begin()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	pid, err := publish()
	if err != nil {
		return nil, err
	}
	if err := p.hear(uint32(pid), patience); err != nil {
		return nil, err
	}
	if err := p.find(uint32(pid), device); err != nil {
		return nil, err
	}
	if len(capability.Lacking(capability.SysPtrace, capability.DACReadSearch, capability.CheckpointRestore)) > 0 {
		limits = append(limits, forbidden)
	}
	if !p.exact {
		limits = append(limits, inexact)
	}
	return limits, nil
}

// hear waits until a process announces a segment.
func (p *programs) hear(pid uint32, patience time.Duration) error {
	p.notices.SetDeadline(time.Now().Add(patience))
	for {
		record, err := p.notices.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("process %d announced a segment, and no notice of it came in %v", pid, patience)
		}
		if err != nil {
			return fmt.Errorf("read ring buffer: %w", err)
		}
		n, err := parseNotice(record.RawSample)
		if err != nil {
			return err
		}
		if n.kind == noticeAnnounced && n.pid == pid {
			return nil
		}
	}
}

// find opens the segment of a process.
func (p *programs) find(pid uint32, device uint64) error {
	listed, opened := false, errors.New("its descriptor was not listed")
	err := each(p.descriptors, func(one found) {
		if one.pid == pid && !listed {
			listed, opened = true, one.check(device)
		}
	})
	if err != nil {
		return fmt.Errorf("list segments: %w", err)
	}
	if opened != nil {
		return fmt.Errorf("open the segment of process %d: %w", pid, opened)
	}
	return nil
}

// check reads the beginning of a segment.
func (f found) check(device uint64) error {
	at, err := locateDescriptor(f.tid, f.fd, device)
	if err != nil {
		return err
	}
	defer at.close()
	fd, err := at.open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var head [pageSize]byte
	n, err := unix.Pread(fd, head[:], 0)
	if err != nil {
		return fmt.Errorf("read segment: %w", err)
	}
	_, err = segment.ParseHeader(head[:n], math.MaxInt64)
	return err
}
