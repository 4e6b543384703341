package process

import (
	"errors"
	"math"

	"golang.org/x/sys/unix"
)

// LimitReason is what events are counted under whose process the table has no room for.
const LimitReason = "process_limit"

// threadsPerProcess bounds how many thread ids are remembered, by the limit on processes.
const threadsPerProcess = 16

const recentThreads = 256

type thread struct {
	tid     int32
	process *Process
}

// Table knows the processes that write. At each collection its owner calls
//
//	Sweep    to find out who has ended
//	         (reads all events written until then)
//	Release  to forget the thread ids of those
//
// and then lets those who make metrics hand over theirs. So a process is Dead only after everything it wrote was seen,
// and a thread id that is given to another process is not mistaken for long: threads are checked at each
// Release, and by [Table.Resolve]. Calls come one at a time.
type Table struct {
	proc  proc
	limit int
	made  uint64 // ticks since boot

	recent    [recentThreads]thread // in front of threads, by the low bits of the id
	threads   map[int32]*Process    // nil for those that there is no room for
	leaders   map[int32]*Process    // by pid
	processes []*Process            // those that aren't dead
	poll      []unix.PollFd

	held, descriptors int
}

// NewTable returns a table of up to limit processes. It fails where this process's pid namespace is not the kernel's first, or
// /proc is not mounted: the pids of kernel records mean nothing there.
func NewTable(limit int) (*Table, error) {
	t := At("/proc", limit)
	if err := t.proc.checkNamespace(); err != nil {
		return nil, err
	}
	return t, nil
}

// At returns a table that reads another folder than /proc, whatever the pid namespace: for tests.
func At(root string, limit int) *Table {
	return &Table{
		proc: proc{root: root}, limit: limit, made: uint64(sinceBoot() / tick),
		threads: map[int32]*Process{}, leaders: map[int32]*Process{},
		descriptors: share(),
	}
}

// Of returns the process of a thread, nil if there is no room for another. A thread that is gone
// already, and was never seen, is a process of its own.
func (t *Table) Of(tid int32) *Process {
	if r := &t.recent[uint32(tid)%recentThreads]; r.tid == tid && r.process != nil {
		return r.process
	}
	return t.of(tid)
}

func (t *Table) of(tid int32) *Process {
	p, known := t.threads[tid]
	if !known {
		p = t.resolve(tid)
		t.remember(tid, p)
	}
	t.recent[uint32(tid)%recentThreads] = thread{tid, p}
	return p
}

// Resolve is like [Table.Of], but asks the kernel whether the thread is still that process's. It takes some 20 us.
func (t *Table) Resolve(tid int32) *Process {
	if p := t.threads[tid]; p != nil {
		pid, _, err := t.proc.owner(tid)
		switch {
		case err != nil:
			return p // it has ended: whose it was is the best that is known
		case t.leaders[pid] == p && !Exited(p.pidfd):
			p.Executable = t.proc.executable(pid) // which it may have executed since
			return p
		}
	}
	p := t.resolve(tid)
	t.remember(tid, p)
	t.recent[uint32(tid)%recentThreads] = thread{tid, p}
	return p
}

func (t *Table) remember(tid int32, p *Process) {
	if len(t.threads) >= t.limit*threadsPerProcess {
		clear(t.threads)
	}
	t.threads[tid] = p
}

// resolve asks the kernel.
func (t *Table) resolve(tid int32) *Process {
	pid, uid, err := t.proc.owner(tid)
	if err != nil {
		// Gone, or hidden by /proc's mount options: then its descriptor tells its end, if it is a process's first thread.
		return t.add(&Process{Identity: Identity{PID: uint64(tid), UID: NoUID}, Unknown: true, pidfd: t.open(tid)})
	}
	if p := t.leaders[pid]; p != nil && !Exited(p.pidfd) {
		if ticks, err := t.proc.started(pid); err == nil && ticks == p.ticks {
			return p
		}
	}
	pidfd := t.open(pid)
	ticks, err := t.proc.started(pid)
	if err != nil { // it has ended just now
		return t.add(&Process{Identity: Identity{PID: uint64(pid), UID: uid}, pidfd: pidfd})
	}
	p := t.add(&Process{
		Identity: Identity{PID: uint64(pid), UID: uid, Executable: t.proc.executable(pid)},
		Start:    unixTime(ticks), Older: ticks <= t.made, ticks: ticks, pidfd: pidfd,
	})
	if p != nil {
		t.leaders[pid] = p
	}
	return p
}

func (t *Table) add(p *Process) *Process {
	if len(t.processes) >= t.limit {
		t.close(p)
		return nil
	}
	t.processes = append(t.processes, p)
	return p
}

// Sweep finds out which processes have ended.
func (t *Table) Sweep() {
	t.poll = t.poll[:0]
	for _, p := range t.processes {
		if p.pidfd >= 0 {
			t.poll = append(t.poll, unix.PollFd{Fd: int32(p.pidfd), Events: unix.POLLIN})
		}
	}
	poll(t.poll)
	polled := t.poll
	living := t.processes[:0]
	for _, p := range t.processes {
		if p.pidfd >= 0 {
			p.dead = polled[0].Revents != 0
			polled = polled[1:]
		} else {
			p.dead = t.ended(p)
		}
		if p.dead {
			t.close(p)
		} else {
			living = append(living, p)
		}
	}
	clear(t.processes[len(living):])
	t.processes = living
}

// ended is about a process that no descriptor is held of. Its start time tells it from another with its pid.
func (t *Table) ended(p *Process) bool {
	if p.Unknown {
		return true
	}
	fd := openPIDFD(int32(p.PID))
	defer closePIDFD(fd)
	ticks, err := t.proc.started(int32(p.PID))
	return err != nil || ticks != p.ticks || Exited(fd)
}

// Release forgets the thread ids of processes that ended before the last Sweep, and of threads that ended.
// Everything that was written before the Sweep has been read.
func (t *Table) Release() {
	for tid, p := range t.threads {
		switch {
		case p == nil, p.dead, p.Unknown && p.pidfd < 0:
			delete(t.threads, tid)
		case uint64(tid) != p.PID && !t.proc.hasThread(int32(p.PID), tid):
			delete(t.threads, tid)
		}
	}
	for pid, p := range t.leaders {
		if p.dead {
			delete(t.leaders, pid)
		}
	}
	clear(t.recent[:])
}

// Close gives all descriptors back. The table is empty then.
func (t *Table) Close() {
	for _, p := range t.processes {
		t.close(p)
	}
	*t = *At(t.proc.root, t.limit)
}

// open holds a process by a descriptor, unless the table has its share of them.
func (t *Table) open(pid int32) int {
	if t.held >= t.descriptors {
		return -1
	}
	fd := openPIDFD(pid)
	if fd >= 0 {
		t.held++
	}
	return fd
}

func (t *Table) close(p *Process) {
	if p.pidfd >= 0 {
		closePIDFD(p.pidfd)
		p.pidfd = -1
		t.held--
	}
}

func openPIDFD(pid int32) int {
	fd, err := unix.PidfdOpen(int(pid), 0)
	if err != nil {
		return -1 // gone, not the first of its threads, or no descriptors left
	}
	return fd
}

func closePIDFD(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}

// Exited says whether a process has ended; of one without a descriptor it isn't known.
func Exited(pidfd int) bool {
	if pidfd < 0 {
		return false
	}
	fds := [1]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	poll(fds[:])
	return fds[0].Revents != 0
}

func poll(fds []unix.PollFd) {
	for {
		if _, err := unix.Poll(fds, 0); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// share is how many descriptors the table may hold: a fourth of the process's.
func share() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return int(min(limit.Cur/4, math.MaxInt32))
}
