package e2e

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// The layout and the states are those of testdata/ledger.h.
const (
	ledgerSize = 1 << 20
	entrySize  = 64

	stateRunning  = 1 // it was killed, if it does not run any more
	stateFinished = 2
	stateIdle     = 3
)

// entry is what a process says it counted. One that was killed may have done one step more.
type entry struct {
	state, counted, recorded, level uint64
}

// newLedger makes the file in which processes note what they count.
func newLedger(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger")
	if err := os.WriteFile(path, make([]byte, ledgerSize), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readLedger returns the entries by pid.
func readLedger(t testing.TB, path string) map[int64]entry {
	t.Helper()
	ledger, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	entries := map[int64]entry{}
	for n := range binary.NativeEndian.Uint64(ledger) {
		word := func(i uint64) uint64 { return binary.NativeEndian.Uint64(ledger[(n+1)*entrySize+8*i:]) }
		pid := int64(word(0))
		e := entry{state: word(1), counted: word(2), recorded: word(3), level: word(4)}
		if before, ok := entries[pid]; ok { // it was given again, as on a busy host it may be within seconds
			e = entry{min(e.state, before.state), e.counted + before.counted, e.recorded + before.recorded, e.level + before.level}
		}
		entries[pid] = e
	}
	return entries
}
