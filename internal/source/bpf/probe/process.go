package probe

import (
	"bytes"
	"os"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/aggregate"
	"github.com/hotpath-metrics/hotpath/internal/emit"
	processes "github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/procfile"
)

// process is one that hit a probe.
type process struct {
	measured   *aggregate.Measured
	executable string
	owner      uint32 // whom the programs charge
	start      int64  // of its series, in UNIX nanoseconds
	ended      bool
}

// process returns what is measured of a process, nil if there is no room for it or nothing is known of it yet.
func (s *Source) process(id processesProcessId) *process {
	if s.last != nil && s.lastID == id {
		return s.last
	}
	p := s.processes[id]
	if p == nil {
		p = s.look(id)
	}
	s.lastID, s.last = id, p
	return p
}

func (s *Source) look(id processesProcessId) *process {
	if s.crowded = s.crowded || s.table.Full(); s.crowded {
		return nil
	}
	var known processesProcess
	if s.common.processes.Lookup(id, &known) != nil {
		return nil
	}
	return s.begin(id, &known)
}

func (s *Source) begin(id processesProcessId, known *processesProcess) *process {
	if known.Known == 0 || s.table.Full() {
		return nil
	}
	who := processes.Identity{PID: uint64(id.Tgid), UID: known.Uid, Executable: strings.ToValidUTF8(text(known.Executable[:]), "\ufffd")}
	resource := who.Describe(nil)
	if container := containerOf(id.Tgid, known); container != "" {
		resource = processes.Set(resource, emit.Attribute{Key: "container.id", Type: emit.AttributeString, Str: container})
	}
	start := max(s.started, sinceBoot(int64(id.Start)))
	if s.processes[id] != nil { // it was another program until now
		start = time.Now().UnixNano()
		s.last = nil
	}
	m := s.table.Process(emit.Process{Resource: resource, Owner: known.Uid, Start: start})
	if m == nil {
		return nil
	}
	p := &process{measured: m, executable: text(known.Executable[:]), owner: known.Owner, start: start}
	s.processes[id] = p
	return p
}

// containerOf finds the container by the cgroup's name, or by those above it as long as the process lives.
func containerOf(pid uint32, known *processesProcess) string {
	if id := processes.ContainerID([]byte("0::/" + text(known.Cgroup[:]))); id != "" || known.Ended != 0 {
		return id
	}
	cgroups, err := os.ReadFile(procfile.Path(pid, "cgroup"))
	if err != nil {
		return ""
	}
	return processes.ContainerID(cgroups)
}

// text is C's.
func text(chars []int8) string {
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(chars))), len(chars))
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}

// sinceBoot converts a time since boot into UNIX nanoseconds.
func sinceBoot(nanos int64) int64 {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return 0
	}
	return time.Now().UnixNano() - now.Nano() + nanos
}
