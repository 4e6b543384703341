//go:build linux && (amd64 || arm64)

package hotpath

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

const killed = 4 // goroutines that count, each of which notes down how far it got

func init() {
	children["count and note down"] = func() {
		f, err := os.OpenFile(os.Getenv("NOTES"), os.O_RDWR, 0)
		must(err)
		memory, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		must(err)
		all, values := NewCounter("all"), NewHistogram("values")
		for g := range killed {
			note := (*uint64)(unsafe.Pointer(&memory[g*64]))
			go func() {
				own := NewCounter("own", WithAttributes(Int("goroutine", int64(g))))
				for n := uint64(1); ; n++ {
					own.Add(1)
					all.Add(1)
					values.Record(2)
					atomic.StoreUint64(note, n)
					if n%1000 == 0 && n <= 1_000_000 { // within the limit of series
						NewCounter(fmt.Sprint("more", n), WithAttributes(Int("goroutine", int64(g)))).Add(1)
					}
				}
			}()
		}
		select {}
	}
}

func TestKilledProcessesLoseNothingOfTheirMemfds(t *testing.T) {
	notes := filepath.Join(directoryOnTmpfs(t), "notes")
	environment := map[string]string{"HOTPATH_TRANSPORT": "bpf", "NOTES": notes}
	rounds, adds := 40, uint64(0)
	for range rounds {
		if err := os.WriteFile(notes, make([]byte, 4096), 0o600); err != nil {
			t.Fatal(err)
		}
		c := start(t, "count and note down", environment)
		path := sealed(t, c.Process.Pid)
		time.Sleep(rand.N(30 * time.Millisecond))
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
		if locked(t, path) {
			t.Error("the memfd of a dead process is locked")
		}
		adds += comparedWithNotes(t, read(t, path), notes)
	}
	if adds < uint64(rounds) {
		t.Errorf("only %d adds in %d processes", adds, rounds)
	}
	t.Logf("%d processes were killed after %d adds", rounds, adds)
}

// comparedWithNotes checks that all that was noted down was counted, and at most what was under way besides.
func comparedWithNotes(t *testing.T, p *published, path string) (noted uint64) {
	t.Helper()
	notes, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	count := func(name string) uint64 {
		if v := p.series[name]; v != nil {
			return v.words[0]
		}
		return 0 // it was killed before
	}
	for g := range killed {
		n := *(*uint64)(unsafe.Pointer(&notes[g*64]))
		noted += n
		if own := count(fmt.Sprintf("own{goroutine=%d}", g)); own != n && own != n+1 {
			t.Errorf("goroutine %d counted %d and noted down %d", g, own, n)
		}
	}
	if all := count("all"); all < noted || all > noted+killed {
		t.Errorf("%d were counted, %d noted down", all, noted)
	}
	if values := p.series["values"]; values != nil && (values.count() < noted || values.count() > noted+killed) {
		t.Errorf("%d values were recorded, %d noted down", values.count(), noted)
	}
	for name, v := range p.series {
		if strings.HasPrefix(name, "more") && v.words[0] > 1 {
			t.Errorf("%s is %d", name, v.words[0])
		}
	}
	return noted
}

// sealed waits for the memfd of a process to be complete, and holds it.
func sealed(t *testing.T, pid int) string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		for _, path := range memfds(t, pid) {
			f, err := os.Open(path)
			if err != nil {
				continue // it is being moved to its high number
			}
			seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
			if err == nil && seals&segment.MemfdSeals == segment.MemfdSeals {
				t.Cleanup(func() { f.Close() })
				return fmt.Sprintf("/proc/self/fd/%d", f.Fd())
			}
			f.Close()
		}
	}
	t.Fatalf("process %d has no memfd that is complete", pid)
	return ""
}
