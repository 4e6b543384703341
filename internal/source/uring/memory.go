package uring

import "fmt"

// How much memory is kept of clients, in sizes of the largest segment: of one user, and of all.
const (
	memoryPerUID = 8
	memoryOfAll  = 16
)

// memory is what clients make the Collector keep: images, and messages that have not come whole.
type memory struct {
	limit  int64 // of one image
	owners map[uint32]int64
	sum    int64
}

func newMemory(limit int64) *memory { return &memory{limit: limit, owners: map[uint32]int64{}} }

// take charges bytes to a user, who has so many in the same place already.
func (m *memory) take(uid uint32, n, already int64) error {
	if already+n > m.limit || m.owners[uid]+n > memoryPerUID*m.limit || m.sum+n > memoryOfAll*m.limit {
		return fmt.Errorf("%w: %d bytes, with %d of the client, %d of its user, %d of all", errMemory, n, already, m.owners[uid], m.sum)
	}
	m.owners[uid] += n
	m.sum += n
	return nil
}

func (m *memory) give(uid uint32, n int64) {
	m.sum -= n
	if m.owners[uid] -= n; m.owners[uid] == 0 {
		delete(m.owners, uid)
	}
}
