package worker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From linux/ptrace.h.
const (
	seize            = 0x4206
	getSyscallInfo   = 0x420e
	syscallInfoEntry = 1
	// infoSize has op at 0, on entry the number at 24 and the arguments at 32.
	infoSize, infoNumber, infoFirst = 88, 24, 32
	// syscallStop is the signal of a stop at a system call's entry or exit, with the option that says so.
	syscallStop = unix.SIGTRAP | 0x80
)

// Syscalls counts the system calls that a thread makes for one operation, by tracing it (ptrace).
func (p *Process) Syscalls(subject string, n int) (float64, error) {
	none, err := p.countSyscalls(subject, 0) // what it takes to be told
	if err != nil {
		return 0, err
	}
	all, err := p.countSyscalls(subject, n)
	return max(0, float64(all-none)/float64(n)), err
}

// ofScheduler are calls that Go's runtime makes because a thread that is traced is slow. Counters make none of them.
var ofScheduler = []uint64{unix.SYS_FUTEX, unix.SYS_RT_SIGRETURN, unix.SYS_SCHED_YIELD, unix.SYS_NANOSLEEP, unix.SYS_TGKILL, unix.SYS_GETPID}

// countSyscalls counts those of the worker's thread from its next command to its answer.
func (p *Process) countSyscalls(subject string, n int) (int, error) {
	type result struct {
		calls int
		err   error
	}
	attached, counted := make(chan error, 1), make(chan result, 1)
	go func() {
		runtime.LockOSThread() // the tracer is a thread, which ends with this goroutine
		err := attach(p.Thread)
		attached <- err
		if err == nil {
			calls, err := untilAnswer(p.Thread)
			counted <- result{calls, err}
		}
	}()
	if err := <-attached; err != nil {
		return 0, err
	}
	_, err := p.Do(subject, 1, n)
	r := <-counted
	return r.calls, errors.Join(err, r.err)
}

func attach(thread int) error {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, seize, uintptr(thread), 0, unix.PTRACE_O_TRACESYSGOOD, 0, 0)
	if errno != 0 {
		return fmt.Errorf("trace the worker: %w (seccomp, or kernel.yama.ptrace_scope=3)", errno)
	}
	if err := unix.PtraceInterrupt(thread); err != nil {
		return fmt.Errorf("stop the worker: %w", err)
	}
	return nil
}

// untilAnswer lets the thread run from system call to system call until it writes to its standard output.
func untilAnswer(thread int) (calls int, err error) {
	for {
		var status unix.WaitStatus
		if _, err := unix.Wait4(thread, &status, unix.WALL, nil); err != nil {
			return calls, fmt.Errorf("wait for the worker: %w", err)
		}
		if !status.Stopped() {
			return calls, errors.New("the worker ended while it was traced")
		}
		signal := 0
		switch status.StopSignal() {
		case syscallStop:
			call, entry, err := stoppedAt(thread)
			if err != nil {
				return calls, err
			}
			if entry && call.number == unix.SYS_WRITE && call.first == 1 {
				return calls, unix.PtraceDetach(thread)
			}
			if entry && !slices.Contains(ofScheduler, call.number) {
				calls++
			}
		case unix.SIGTRAP: // it was interrupted
		default:
			signal = int(status.StopSignal()) // is its own: the Go runtime sends some
		}
		if err := unix.PtraceSyscall(thread, signal); err != nil {
			return calls, fmt.Errorf("let the worker run: %w", err)
		}
	}
}

// call is a system call: its number and first argument.
type call struct{ number, first uint64 }

// stoppedAt says whether a thread is stopped where it enters a system call, and which.
func stoppedAt(thread int) (call, bool, error) {
	var info [infoSize]byte
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, getSyscallInfo, uintptr(thread), infoSize, uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 {
		return call{}, false, fmt.Errorf("ask for the worker's system call (Linux 5.3): %w", errno)
	}
	return call{binary.NativeEndian.Uint64(info[infoNumber:]), binary.NativeEndian.Uint64(info[infoFirst:])}, info[0] == syscallInfoEntry, nil
}
