//go:build linux && (amd64 || arm64)

package hotpath

import "math"

// keep sees to it, whenever a series is made, that the kernel goes on knowing where the bit is. The caller holds the client's lock.
func (u *updates) keep() {
	if d := u.descriptor.Load(); d != nil && d.ours() {
		d.inherit(&u.client.stripes.ready)
		return
	}
	u.replace()
}

// reopen returns a descriptor in the place of one that was closed, nil if there is none, or while somebody else is at it.
func (u *updates) reopen(closed *descriptor) *descriptor {
	mu := &u.client.mu
	if !mu.TryLock() {
		return nil
	}
	defer mu.Unlock()
	if d := u.descriptor.Load(); d != closed {
		return d
	}
	if closed == nil {
		// The kernel still says that somebody listens. Without a descriptor that can't be unsaid but here.
		u.client.stripes.ready.And(math.MaxInt32)
		return nil
	}
	u.replace()
	return u.descriptor.Load()
}

// replace opens and registers again. Where that fails, all goes on in private memory until the next series is made.
func (u *updates) replace() {
	d, err := register(&u.client.stripes.ready)
	u.closed = err
	u.descriptor.Store(d)
	if err != nil {
		u.client.stripes.ready.And(math.MaxInt32)
	}
}
