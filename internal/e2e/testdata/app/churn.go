package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	hotpath "github.com/hotpath-metrics/hotpath/client/go"
)

// entry and the constants are those of ledger.h.
type entry struct {
	pid, state               atomic.Uint64
	counted, recorded, level atomic.Uint64
	_                        [3]uint64
}

const (
	ledgerSize = 1 << 20
	running    = 1
	finished   = 2
)

func newEntry(path string) *entry {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	ledger, err := unix.Mmap(int(f.Fd()), 0, ledgerSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	f.Close()
	n := atomic.AddUint64((*uint64)(unsafe.Pointer(&ledger[0])), 1)
	e := (*entry)(unsafe.Pointer(&ledger[n*uint64(unsafe.Sizeof(entry{}))]))
	e.pid.Store(uint64(os.Getpid()))
	e.state.Store(running)
	return e
}

// churn counts while it runs children that do the same, until its input ends.
func churn(path string) {
	e := newEntry(path)
	burst := counting(e)
	fmt.Println("ready")
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	for round := 0; ; round++ {
		select {
		case <-ended:
			e.state.Store(finished)
			return
		case <-time.After(20 * time.Millisecond):
		}
		burst()
		fate := "ends"
		if round%2 == 1 {
			fate = "killed"
		}
		child := exec.Command(os.Args[0], "churn-child", path, fate)
		child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := child.Start(); err != nil {
			panic(err)
		}
		if fate == "killed" {
			time.Sleep(70 * time.Millisecond)
			_ = child.Process.Kill()
		}
		_ = child.Wait()
	}
}

func churnChild(path, fate string) {
	e := newEntry(path)
	burst := counting(e)
	for i := 0; i < 20 || fate == "killed"; i++ {
		burst()
		time.Sleep(5 * time.Millisecond)
	}
	e.state.Store(finished)
}

// counting returns what counts a thousand times, and notes it.
func counting(e *entry) func() {
	done := hotpath.NewCounter("churn.done")
	level := hotpath.NewUpDownCounter("churn.level")
	speed := hotpath.NewGauge("churn.speed")
	size := hotpath.NewHistogram("churn.size")
	return func() {
		speed.Set(2.5)
		for range 1000 {
			done.Add(1)
			e.counted.Add(1)
			size.Record(4)
			e.recorded.Add(1)
			level.Add(3)
			e.level.Add(3)
		}
	}
}
