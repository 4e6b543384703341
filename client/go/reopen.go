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

// reopen returns a descriptor in the place of one that was closed, nil if there is none. It waits for others that are at it: the
// update may be the last one of its series.
func (u *updates) reopen(closed *descriptor) *descriptor {
	u.client.mu.Lock()
	defer u.client.mu.Unlock()
	if d := u.descriptor.Load(); d != closed {
		return d
	}
	if closed == nil && !u.client.stripes.heard() {
		return nil // it was tried for this listener
	}
	u.replace()
	return u.descriptor.Load()
}

// replace opens and registers again. Where that fails, all goes on in private memory until the next listener comes or the next series is made.
func (u *updates) replace() {
	d, err := u.register()
	u.closed = err
	u.descriptor.Store(d)
	if err != nil {
		u.client.stripes.ready.And(math.MaxInt32)
	}
}

// unheardInARow is how many updates nobody hears before the kernel is asked. A few are written while it takes the bit back.
const unheardInARow = 256

// unheard sees to it that the bit is not left set for good: by threads that ended while somebody listened.
func (u *updates) unheard(d *descriptor) {
	if u.misses.Add(1)%unheardInARow != 0 || !u.client.mu.TryLock() {
		return
	}
	defer u.client.mu.Unlock()
	if u.client.stripes.heard() && u.descriptor.Load() == d {
		d.inherit(&u.client.stripes.ready)
	}
}
