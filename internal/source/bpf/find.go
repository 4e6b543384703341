package bpf

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/procfile"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

const (
	// Announcements that are followed up between two collections at most: whoever announces more is found by looking.
	maxLookups        = 4096
	maxLookupsProcess = 8
	// Where looking at one process takes looking at all, so many are at most.
	maxLists = 256
	// As many bytes of lists of mappings are read for one of them at most, and for all: about 100 ms.
	maxMap  = 1 << 20
	maxMaps = 16 << 20
)

// origin implements [segments.Origin].
type origin struct {
	source  *source
	pid     uint32
	address uint64 // where it was announced; 0 if it was found otherwise
	pages   int    // of a copy
	segment *segments.Segment
}

func (o *origin) Name() string { return fmt.Sprintf("memfd of process %d", o.pid) }

func (o *origin) Refused(s *segments.Segment, reason segment.Reason, cause error) {
	o.source.refuse(s.Key, o.Name(), reason, cause)
}

func (o *origin) Delivered(*segments.Segment) {}

func (o *origin) Closed() {
	s := o.source
	s.copying -= o.pages
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
	seen   time.Time
}

// refuse remembers a memfd that is not read, and says so once. One without its seals may be just about to get them.
func (s *source) refuse(key segments.Key, name string, reason segment.Reason, cause error) {
	old, known := s.refused[key]
	if !known && len(s.refused) >= 2*s.limits.Segments {
		return // else it would be told each time
	}
	tell := reason != errSeals || known
	s.refused[key] = refusal{reason, tell, time.Now()}
	if !tell || old.told && old.reason == reason {
		return
	}
	s.tel.SegmentSkipped(string(reason))
	s.logger.Warn("Not reading a segment", zap.String("name", name), zap.String("reason", string(reason)), zap.Error(cause))
}

// hopeless says that there is nothing to be done about a memfd: it is open, or was refused for good.
func (s *source) hopeless(key segments.Key, uid uint32) bool {
	if s.set.Lookup(key) != nil {
		return true
	}
	r, known := s.refused[key]
	if !known || !r.told {
		return false
	}
	r.seen = time.Now()
	s.refused[key] = r
	switch r.reason {
	case segments.ErrLimit:
		return s.set.Full(uid)
	case segments.ErrDescriptors, segments.ErrUnreadable:
		return false
	}
	return true
}

// announced opens the segment that a process says it has mapped at an address.
func (s *source) announced(n notice) {
	if s.lookups >= maxLookups || s.maps >= maxMaps || s.asked[n.pid] >= maxLookupsProcess {
		s.listed, s.mapped = time.Time{}, time.Time{}
		return
	}
	s.lookups++
	s.asked[n.pid]++
	for _, id := range slices.Compact([]uint32{n.pid, n.tid}) { // a process whose first thread has ended can be seen by another
		if s.open(id, n) {
			return
		}
	}
}

func (s *source) open(id uint32, n notice) bool {
	end, read, err := mappingAt(id, n.address)
	s.maps += read
	if read >= maxMap {
		s.listed, s.mapped = time.Time{}, time.Time{}
	}
	if errors.Is(err, unix.EACCES) {
		s.forbid(id, err)
	}
	if err != nil {
		return false // the process has ended, or says what isn't so
	}
	f, err := locate(procfile.MappingPath(id, n.address, end), s.device)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) { // its descriptor does as well, where it is open
		s.lookups += maxLookups / maxLists
		s.listDescriptors()
		return true
	}
	if err != nil {
		return false
	}
	defer f.close()
	s.take(f, n.address, n.pid)
	return true
}

const forbidden = "No right to open the segments of other users' processes: the bpf source needs the capability CAP_SYS_PTRACE, " +
	"and for those whose descriptor is closed CAP_DAC_READ_SEARCH and CAP_CHECKPOINT_RESTORE"

// forbid says, once, that there is no right to look at other users' processes.
func (s *source) forbid(pid uint32, err error) {
	if s.forbidden {
		return
	}
	s.forbidden = true
	s.logger.Error(forbidden, zap.Uint32("pid", pid), zap.Error(err))
}

// take admits the segment in a file that some processes have.
func (s *source) take(f *file, address uint64, pids ...uint32) {
	key := segments.KeyOf(&f.st)
	if s.set.Lookup(key) != nil || address == 0 && s.hopeless(key, f.st.Uid) {
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
	if address != 0 { // the program watches it since it was announced
		// Where this fails, the segment is copied for nothing when its process ends.
		_ = s.loaded.hold(o.pid, address)
	} else if err := s.loaded.watch(o.pid); err != nil {
		s.logger.Warn("Cannot watch a process for its end; it is noticed at the next collection", zap.Error(err))
	}
}
