package c

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// quarter is how many measurements, of six words each, stay within the first quarter of a ring.
const quarter = (1 << 17) / 4 / 6

// hang makes a doorbell.
func hang(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, segment.Doorbell)
	if err := os.WriteFile(path, make([]byte, segment.DoorbellSize), 0o444); err != nil {
		t.Fatal(err)
	}
	return path
}

// wait is a collector that waits; what comes says whether it was woken in time.
func wait(t *testing.T, path string, timeout time.Duration) <-chan bool {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := unix.Mmap(int(f.Fd()), 0, segment.DoorbellSize, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	woken := make(chan bool, 1)
	go func() {
		ts := unix.NsecToTimespec(timeout.Nanoseconds())
		for {
			_, _, errno := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&b[0])), 0 /* FUTEX_WAIT */, 0, uintptr(unsafe.Pointer(&ts)), 0, 0)
			if errno != unix.EINTR {
				woken <- errno == 0
				break
			}
		}
		_ = unix.Munmap(b)
		f.Close()
	}()
	time.Sleep(20 * time.Millisecond) // until it waits
	return woken
}

func (c *client) record(n int) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.stdin, n); err != nil {
		c.t.Fatal(err)
	}
	c.await()
}

func ringing(t *testing.T, dir string) *client {
	t.Helper()
	return start(t, compilers[0].compile(t, "testdata/ring.c", "-lm"), dir, "lines")
}

func TestDoorbellRingsAtAQuarterAndNotBefore(t *testing.T) {
	for _, variant := range []compiler{compilers[0], compilers[3]} {
		t.Run(variant.name, func(t *testing.T) {
			dir := directory(t)
			path := hang(t, dir)
			c := start(t, variant.compile(t, "testdata/ring.c", "-lm"), dir, "lines")
			crossing := func(quarter int) int { return (quarter<<15 + 5) / 6 } // how many measurements it takes
			for i := range 9 {                                                 // and so across the end of the ring
				woken := wait(t, path, 10*time.Second)
				c.record(crossing(i+1) - crossing(i) - 1)
				select {
				case <-woken:
					t.Fatalf("it rang before quarter %d was full", i+1)
				case <-time.After(50 * time.Millisecond):
				}
				c.record(1)
				if !<-woken {
					t.Fatalf("it did not ring when quarter %d was full", i+1)
				}
			}
			if r := c.rings(); r.used != 1 {
				t.Errorf("%d rings were used", r.used)
			}
			c.finish()
		})
	}
}

func TestDoorbellIsWhatItIs(t *testing.T) {
	for name, make := range map[string]func(t *testing.T, path string) error{
		"missing":   func(*testing.T, string) error { return nil },
		"empty":     func(_ *testing.T, path string) error { return os.WriteFile(path, nil, 0o444) },
		"FIFO":      func(_ *testing.T, path string) error { return unix.Mkfifo(path, 0o666) },
		"directory": func(_ *testing.T, path string) error { return os.Mkdir(path, 0o777) },
		"link":      func(t *testing.T, path string) error { return os.Symlink(hang(t, directory(t)), path) },
		"unreadable": func(t *testing.T, path string) error {
			return os.Chmod(hang(t, filepath.Dir(path)), 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := directory(t)
			path := filepath.Join(dir, segment.Doorbell)
			if err := make(t, path); err != nil {
				t.Fatal(err)
			}
			c := ringing(t, dir)
			c.record(10 * quarter)
			if got := c.rings(); got.used != 1 {
				t.Errorf("%d rings were used", got.used)
			}
			c.finish()
		})
	}
}

func TestDoorbellMayBeTruncatedRemovedAndReplaced(t *testing.T) {
	dir := directory(t)
	path := hang(t, dir)
	c := ringing(t, dir)
	c.record(2 * quarter)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	c.record(10 * quarter)
	for range 2 {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		c.record(10 * quarter)
		hang(t, dir)
		woken := wait(t, path, 10*time.Second)
		time.Sleep(1100 * time.Millisecond)
		c.record(2 * quarter)
		if !<-woken {
			t.Fatal("a doorbell that was made anew did not ring")
		}
		mapped, err := os.Open(fmt.Sprintf("/proc/%d/maps", c.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for s := bufio.NewScanner(mapped); s.Scan(); {
			if matched, _ := filepath.Match("*"+segment.Doorbell+"*", filepath.Base(s.Text())); matched {
				n++
			}
		}
		mapped.Close()
		if n != 1 {
			t.Errorf("%d doorbells are mapped", n)
		}
	}
	c.finish()
}

// Whoever waits at the old one need not be a Collector.
func TestDoorbellIsReplacedThoughSomebodyWaitsAtTheOldOne(t *testing.T) {
	dir := directory(t)
	path := hang(t, dir)
	c := ringing(t, dir)
	c.record(quarter)
	woken := wait(t, path, 20*time.Second)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	hang(t, dir)
	at := wait(t, path, 20*time.Second)
	time.Sleep(10100 * time.Millisecond)
	c.record(quarter)
	if !<-woken {
		t.Fatal("the old one did not ring")
	}
	if !<-at {
		t.Error("the new one does not ring")
	}
	c.finish()
}
