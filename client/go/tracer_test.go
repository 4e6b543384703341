//go:build linux && (amd64 || arm64)

package hotpath

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/userevent"
)

const tracing = "/sys/kernel/tracing"

// needUserEvents skips a test where the kernel can't run it.
func needUserEvents(t testing.TB) {
	t.Helper()
	fd, err := userevent.Open()
	if err != nil {
		t.Skip("needs a kernel with user_events, and root: ", err)
	}
	unix.Close(fd)
}

// tracer is an ftrace instance: who listens.
type tracer struct {
	t    testing.TB
	path string
	raw  []int // trace_pipe_raw of each CPU
}

func newTracer(t testing.TB) *tracer {
	t.Helper()
	tr := &tracer{t: t, path: filepath.Join(tracing, "instances", fmt.Sprintf("hotpath-go-%d", time.Now().UnixNano()))}
	if err := os.Mkdir(tr.path, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, fd := range tr.raw {
			unix.Close(fd)
		}
		tr.listen(false)
		if err := os.Remove(tr.path); err != nil {
			t.Error(err)
		}
	})
	tr.set("buffer_size_kb", "8192")
	cpus, err := filepath.Glob(filepath.Join(tr.path, "per_cpu/cpu*/trace_pipe_raw"))
	if err != nil || len(cpus) == 0 {
		t.Fatalf("the instance has the CPUs %v, %v", cpus, err)
	}
	for _, path := range cpus {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		tr.raw = append(tr.raw, fd)
	}
	return tr
}

func (tr *tracer) set(file, value string) {
	tr.t.Helper()
	if err := os.WriteFile(filepath.Join(tr.path, file), []byte(value), 0o600); err != nil {
		tr.t.Fatal(err)
	}
}

// listen begins to listen to hotpath's events, or ends it.
func (tr *tracer) listen(yes bool) {
	tr.t.Helper()
	tr.set("events/user_events/"+userevent.Name+"/enable", map[bool]string{true: "1", false: "0"}[yes])
}

// events are all that were written since the last time, CPU by CPU.
func (tr *tracer) events() (all []*event) {
	tr.t.Helper()
	text, err := os.ReadFile(filepath.Join(tr.path, "events/user_events", userevent.Name, "id"))
	if err != nil {
		tr.t.Fatal(err)
	}
	id, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		tr.t.Fatal(err)
	}
	var page [4096]byte
	for _, fd := range tr.raw {
		for {
			n, err := unix.Read(fd, page[:])
			if err == unix.EINTR {
				continue
			}
			if err != nil || n <= 0 {
				break
			}
			const header = 16 // time, commit
			used := int(binary.NativeEndian.Uint64(page[8:]) & 0xfffff)
			all = append(all, tr.parse(page[header:header+used], uint16(id))...)
		}
	}
	return all
}

// parse finds the events with an id in the data of a sub-buffer.
func (tr *tracer) parse(b []byte, id uint16) (all []*event) {
	const common = 8 // fields that all events begin with
	for len(b) >= 4 {
		kind := binary.NativeEndian.Uint32(b) & 31
		data, size := 4, int(kind)*4
		switch kind {
		case 0:
			data, size = 8, int(binary.NativeEndian.Uint32(b[4:]))-4
		case 29:
			if binary.NativeEndian.Uint32(b)>>5 == 0 {
				return all
			}
			size = int(binary.NativeEndian.Uint32(b[4:]))
		case 30, 31:
			size = 4
		}
		if kind < 29 && binary.NativeEndian.Uint16(b[data:]) == id {
			all = append(all, parseEvent(tr.t, b[data+common:data+size]))
		}
		b = b[data+size:]
	}
	return all
}

// only is the one event there is.
func (tr *tracer) only() *event {
	tr.t.Helper()
	all := tr.events()
	if len(all) != 1 {
		tr.t.Fatalf("%d events were written, want 1", len(all))
	}
	return all[0]
}
