// Package processtest makes a folder that looks like /proc, in which tests start and end processes.
package processtest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/process"
)

// First is the lowest id to be used: no kernel gives out such a high one, so that nothing here meets a real process.
const First = 1 << 23

// Proc is such a folder. Where its files can't be written its methods panic.
type Proc struct{ Root string }

// New makes an empty one.
func New(t testing.TB) *Proc {
	t.Helper()
	return &Proc{t.TempDir()}
}

// Table returns a table of it.
func (p *Proc) Table(limit int) *process.Table { return process.At(p.Root, limit) }

// Ticks is a time as /proc has the start of a process.
func Ticks(at time.Time) uint64 {
	var boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		panic(err)
	}
	return uint64((boot.Nano() + int64(time.Until(at))) / int64(10*time.Millisecond))
}

// Start starts a process with a first thread, at so many ticks of 10 ms since boot.
func (p *Proc) Start(pid int32, uid uint32, name string, ticks uint64) {
	p.Thread(pid, pid, uid)
	dir := p.dir(pid)
	p.write(filepath.Join(dir, "comm"), name+"\n")
	p.write(filepath.Join(dir, "stat"), fmt.Sprintf(
		"%d (%s) S 1 1 1 0 -1 4194304 90 0 0 0 0 0 0 0 20 0 1 0 %d 2703360 300 18446744073709551615\n", pid, name, ticks))
}

// Thread starts a thread of a process.
func (p *Proc) Thread(pid, tid int32, uid uint32) {
	p.write(filepath.Join(p.dir(tid), "status"), fmt.Sprintf(
		"Name:\tx\nState:\tS (sleeping)\nTgid:\t%d\nPid:\t%d\nUid:\t0\t%d\t0\t0\nThreads:\t1\n", pid, tid, uid))
	if err := os.MkdirAll(filepath.Join(p.dir(pid), "task", fmt.Sprint(tid)), 0o700); err != nil {
		panic(err)
	}
}

// End ends threads, which may be processes.
func (p *Proc) End(tids ...int32) {
	for _, tid := range tids {
		if err := os.RemoveAll(p.dir(tid)); err != nil {
			panic(err)
		}
		tasks, err := filepath.Glob(filepath.Join(p.Root, "*", "task", fmt.Sprint(tid)))
		if err != nil {
			panic(err)
		}
		for _, task := range tasks {
			if err := os.Remove(task); err != nil {
				panic(err)
			}
		}
	}
}

func (p *Proc) dir(id int32) string { return filepath.Join(p.Root, fmt.Sprint(id)) }

func (p *Proc) write(path, text string) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		panic(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(err)
	}
}
