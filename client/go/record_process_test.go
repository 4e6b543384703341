//go:build linux && (amd64 || arm64)

package hotpath

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

const recorders = 3 // goroutines

func init() {
	children["record forever"] = func() {
		adds, recorded := NewCounter("adds"), NewCounter("recorded")
		recorded.Add(0)
		fmt.Println(process.path)
		for g := range uint64(recorders) {
			go func() {
				random := rand.New(rand.NewPCG(g, 0))
				for n := uint64(0); ; n++ {
					attributes := signed(random, n)
					adds.AddWith(n, attributes...)
					recorded.Add(1)
				}
			}()
		}
		waitForEnd()
	}
	children["record without MADV_POPULATE_WRITE"] = func() {
		must(refuse(unix.SYS_MADVISE, 2, unix.MADV_POPULATE_WRITE, unix.EINVAL)) // as before Linux 5.14
		counter := NewCounter("adds")
		for n := range uint64(10_000) {
			counter.AddWith(n, Int("n", int64(n)))
		}
		fmt.Println(process.path)
		fmt.Println(Status())
		waitForEnd()
	}
}

func TestAProcessThatIsKilledLeavesWholeMeasurements(t *testing.T) {
	dir := directoryOnTmpfs(t)
	rings := uint64(0)
	for range 200 {
		c := start(t, "record forever", in(dir))
		path := c.line(t)
		time.Sleep(rand.N(8 * time.Millisecond))
		_ = c.Process.Kill()
		_ = c.Wait()
		r := newRingReader(t, path)
		all := r.all()
		for i := range all {
			verify(t, &all[i])
		}
		p := read(t, path)
		// A goroutine was killed between the two, or another call of it was before its first ring.
		if n := p.series["recorded"].words[0]; r.total() < n || r.total() > n+recorders {
			t.Errorf("%d measurements were recorded, of %d", r.total(), n)
		}
		rings = max(rings, p.field(segment.OffRingsUsed))
		must(unix.Unlink(path))
		r.file.Close()
	}
	if rings == 0 {
		t.Error("all were killed before they recorded anything")
	}
}

func TestOldKernelsGetSmallRings(t *testing.T) {
	inBothPlaces(t, func(t *testing.T, environment map[string]string) {
		c := start(t, "record without MADV_POPULATE_WRITE", environment)
		path, status := c.line(t), c.line(t)
		if path == "" {
			path = held(t, c.Process.Pid)
		}
		r := newRingReader(t, path)
		all := r.all()
		if r.word(segment.OffRingWords) != segment.MinRingWords || r.total() != 10_000 || uint64(len(all))+r.lost != 10_000 || len(all) < 500 {
			t.Errorf("in rings of %d words there are %d measurements, %d came and %d were lost", r.word(segment.OffRingWords), r.total(), len(all), r.lost)
		}
		if strings.Contains(status, "not recorded") {
			t.Error(status)
		}
		c.end(t)
	})
}
