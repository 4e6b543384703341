package probe

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// everybody is what all users together are charged.
const everybody = 0xffffffff

// What a share in the entries of a probe is of.
const (
	ofProcess uint32 = iota
	ofUser
	freedOfUser
)

// charges is what users get back of what the programs charge them for (probe.h). The programs write the one half of an account, and the
// collector the other, so that neither waits for the other.
type charges struct {
	users *ebpf.Map
	back  map[uint32]*processesUser // what each got back
	due   map[uint32]struct{}       // those that it is not written down of yet
}

// of returns what a user, and everybody, got back, to be added to.
func (c *charges) of(uid uint32) *processesUser {
	u := c.back[uid]
	if u == nil {
		u = &processesUser{}
		c.back[uid] = u
	}
	c.due[uid] = struct{}{}
	return u
}

// settle tells the programs. Who has nothing any more is forgotten, and leaves the room to other users.
func (c *charges) settle() error {
	for uid := range c.due {
		made, freed := processesUserKey{Uid: uid}, processesUserKey{Uid: uid, Freed: 1}
		var has processesUser
		err := c.users.Lookup(made, &has)
		back := c.back[uid]
		switch {
		case err != nil && !errors.Is(err, ebpf.ErrKeyNotExist):
		case uid != everybody && has.Processes <= back.Processes && has.Calls <= back.Calls:
			delete(c.back, uid)
			err = errors.Join(remove(c.users, made), remove(c.users, freed))
		default:
			err = c.users.Put(freed, back)
		}
		if err != nil {
			return fmt.Errorf("account of user %d: %w", uid, err)
		}
		delete(c.due, uid)
	}
	return nil
}

// settleEntries does so with what a user got back of a probe's entries.
func (p *probe) settleEntries(uid uint32) error {
	shares := p.loaded.maps[probeMapShares]
	made, freed := probeShare{Id: uid, Of: ofUser}, probeShare{Id: uid, Of: freedOfUser}
	var has uint64
	err := shares.Lookup(made, &has)
	switch back := p.reader.back[uid]; {
	case err != nil && !errors.Is(err, ebpf.ErrKeyNotExist):
	case has <= back:
		delete(p.reader.back, uid)
		err = errors.Join(remove(shares, made), remove(shares, freed))
	default:
		err = shares.Put(freed, back)
	}
	if err != nil {
		return fmt.Errorf("account of user %d with probe %d: %w", uid, p.number, err)
	}
	return nil
}

// remove deletes a key, if it is there.
func remove(m *ebpf.Map, key any) error {
	if err := m.Delete(key); !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
}
