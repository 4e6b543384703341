package bpf

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/cilium/ebpf/link"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

const (
	// Announcements that are followed up between two collections at most: whoever announces more is found by looking.
	maxLookups = 4096
	// How often all processes are looked through for what was not announced, or not heard.
	listEvery = 10 * time.Second
	mapEvery  = time.Minute
)

// origin implements [segments.Origin].
type origin struct {
	source  *source
	pid     uint32
	address uint64 // where it was announced; 0 if it was found otherwise
	segment *segments.Segment
}

func (o *origin) Name() string { return fmt.Sprintf("memfd of process %d", o.pid) }

func (o *origin) Refused(s *segments.Segment, reason segment.Reason, cause error) {
	o.source.refuse(s.Key, o.Name(), reason, cause)
}

func (o *origin) Delivered(*segments.Segment) {}

func (o *origin) Closed() {
	s := o.source
	if o.address != 0 && s.loaded != nil {
		s.loaded.release(o.pid, o.address)
	}
	left := slices.DeleteFunc(s.processes[o.pid], func(other *segments.Segment) bool { return other == o.segment })
	if s.processes[o.pid] = left; len(left) == 0 {
		delete(s.processes, o.pid)
	}
}

// refusal is why a memfd is not read.
type refusal struct {
	reason segment.Reason
	told   bool
}

// refuse remembers a memfd that is not read, and says so once. One without its seals may be just about to get them.
func (s *source) refuse(key segments.Key, name string, reason segment.Reason, cause error) {
	old, known := s.refused[key]
	if known && old.told && old.reason == reason {
		return
	}
	tell := reason != errSeals || known
	if known || len(s.refused) < 2*s.limits.Segments {
		s.refused[key] = refusal{reason, tell}
	}
	if !tell {
		return
	}
	s.tel.SegmentSkipped(string(reason))
	s.logger.Warn("Not reading a segment", zap.String("name", name), zap.String("reason", string(reason)), zap.Error(cause))
}

// announced opens the segment that a process says it has mapped at an address.
func (s *source) announced(pid uint32, address uint64) {
	if s.lookups++; s.lookups > maxLookups {
		s.listed, s.mapped = time.Time{}, time.Time{}
		return
	}
	end, err := mappingAt(pid, address)
	if errors.Is(err, unix.EACCES) {
		s.forbid(pid, err)
	}
	if err != nil {
		return // the process has ended, or says what isn't so
	}
	f, err := locate(mappingPath(pid, address, end), s.device)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) { // its descriptor does as well, where it is open
		s.list(s.loaded.descriptors, func(d found) (*file, error) {
			if d.pid != pid {
				return nil, errOther
			}
			return locateDescriptor(d.pid, d.fd, s.device)
		})
		return
	}
	if err != nil {
		return
	}
	defer f.close()
	s.take(f, address, pid)
}

// forbid says, once, that there is no right to look at other users' processes.
func (s *source) forbid(pid uint32, err error) {
	if s.forbidden {
		return
	}
	s.forbidden = true
	s.logger.Error("No right to open the segments of other users' processes: the bpf source needs the capability CAP_SYS_PTRACE, "+
		"and for those whose descriptor is closed CAP_DAC_READ_SEARCH and CAP_CHECKPOINT_RESTORE", zap.Uint32("pid", pid), zap.Error(err))
}

// look looks through all processes, if it is time.
func (s *source) look() {
	now := time.Now()
	if now.Sub(s.listed) >= listEvery {
		s.listed = now
		s.list(s.loaded.descriptors, func(d found) (*file, error) { return locateDescriptor(d.pid, d.fd, s.device) })
	}
	if now.Sub(s.mapped) >= mapEvery {
		s.mapped = now
		s.list(s.loaded.mappings, func(m found) (*file, error) { return locate(mappingPath(m.pid, m.start, m.end), s.device) })
	}
}

// list takes the segments that the kernel lists. Those of a forked process may be its parent's.
func (s *source) list(of *link.Iter, locate func(found) (*file, error)) {
	all, err := read(of)
	if err != nil {
		s.logger.Warn("Cannot list segments", zap.Error(err))
		return
	}
	files := map[segments.Key]*file{}
	having := map[segments.Key][]uint32{}
	defer func() {
		for _, f := range files {
			f.close()
		}
	}()
	for len(all) > 0 {
		var one found
		var ok bool
		if one, all, ok = parseFound(all); !ok {
			break
		}
		f, err := locate(one)
		if (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)) && len(s.processes[one.pid]) == 0 {
			s.forbid(one.pid, err)
		}
		if err != nil {
			continue // it has just gone
		}
		key := segments.KeyOf(&f.st)
		if files[key] != nil || s.set.Lookup(key) != nil || len(files) >= s.limits.Segments {
			f.close()
		} else {
			files[key] = f
		}
		having[key] = append(having[key], one.pid)
	}
	for key, f := range files {
		s.take(f, 0, having[key]...)
	}
}

func read(of *link.Iter) ([]byte, error) {
	r, err := of.Open()
	if err != nil {
		return nil, err
	}
	all, err := io.ReadAll(r)
	return all, errors.Join(err, r.Close())
}

// take admits the segment in a file that some processes have.
func (s *source) take(f *file, address uint64, pids ...uint32) {
	key := segments.KeyOf(&f.st)
	if seg := s.set.Lookup(key); seg != nil {
		return
	}
	if r := s.refused[key]; r.told && address == 0 && (r.reason != segments.ErrLimit || s.set.Full(f.st.Uid)) {
		return
	}
	o := &origin{source: s, pid: pids[0], address: address}
	fd, err := f.open()
	if errors.Is(err, errOther) {
		return
	}
	if err != nil {
		s.refuse(key, o.Name(), segment.ReasonOf(err, segments.ErrUnreadable), err)
		return
	}
	seg, err := s.set.Admit(fd, &f.st, f.st.Uid, o)
	if err != nil {
		unix.Close(fd)
		s.refuse(key, o.Name(), segment.ReasonOf(err, segments.ErrUnreadable), err)
		return
	}
	delete(s.refused, key)
	o.segment = seg
	// Who made it says its own pid in it. A child that has it by fork does not count in it.
	if i := slices.IndexFunc(pids, func(pid uint32) bool { return innerPID(pid) == seg.Who.PID }); i >= 0 {
		o.pid = pids[i]
		identify(seg, o.pid)
	}
	seg.Seen = seg.Start() < s.started
	s.processes[o.pid] = append(s.processes[o.pid], seg)
	if err := s.loaded.watch(o.pid); err != nil {
		s.logger.Warn("Cannot watch a process for its end; it is noticed at the next collection", zap.Error(err))
	}
	if address != 0 {
		// Where this fails, the segment is copied for nothing when its process ends.
		_ = s.loaded.hold(o.pid, address)
	}
}
