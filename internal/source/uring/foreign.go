package uring

import (
	"sync"

	"golang.org/x/sys/unix"
)

// How many descriptors that turned out to be no rings may be on their way to being closed: of one user, and of all.
const (
	foreignPerUID = 4
	foreignOfAll  = 64
)

// foreign closes files that clients offered as rings. Closing one may wait, for as long as a client pleases: for a file system that it serves itself
// (FUSE), or for data that a socket lingers over. So it happens elsewhere, for few at a time.
type foreign struct {
	mu      sync.Mutex
	closing map[uint32]int
	sum     int
}

func (f *foreign) full(uid uint32) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sum >= foreignOfAll || f.closing[uid] >= foreignPerUID
}

func (f *foreign) close(fd int, uid uint32) {
	f.count(uid, 1)
	go func() {
		unix.Close(fd)
		f.count(uid, -1)
	}()
}

func (f *foreign) count(uid uint32, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing == nil {
		f.closing = map[uint32]int{}
	}
	f.sum += n
	if f.closing[uid] += n; f.closing[uid] == 0 {
		delete(f.closing, uid)
	}
}
