package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/hotpath-metrics/hotpath/client/go"
	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

const (
	// residentVariable makes this program the Go client whose segment is looked at.
	residentVariable = "HOTPATH_BENCH_RESIDENT"
	blockSize        = 512 // of st_blocks, stat(2)
)

// beResident counts 100 series on all Ps, and stays until its standard input ends.
func beResident() {
	const all = 100
	var counters []hotpath.Counter
	for i := range all {
		counters = append(counters, hotpath.NewCounter("bench.shards", hotpath.WithAttributes(hotpath.Int("shard", int64(i)))))
	}
	end := time.Now().Add(100 * time.Millisecond)
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for i := 0; time.Now().Before(end); i++ {
				counters[i%all].Add(1)
			}
		})
	}
	group.Wait()
	fmt.Println("done")
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
}

// benchMemory looks at what segments take of the tmpfs.
func benchMemory(root, temporary string) ([]row, error) {
	var rows []row
	add := func(client, dir string) error {
		kib, used, err := resident(dir)
		if err == nil {
			what := fmt.Sprintf("%s client, 100 counters, stripe 0 and %d more", client, used-1)
			rows = append(rows, newRow("Memory", what, "KiB", series{kib}).within(budget{most: 64}))
		}
		return err
	}
	c, err := buildC(root, temporary, "resident")
	if err == nil {
		err = c.run(plan{sample: time.Millisecond}, 2, func(*cRun) error { return add("C", c.dir) })
	}
	if err != nil && !errors.Is(err, exec.ErrNotFound) {
		return nil, err
	}
	dir := filepath.Join(temporary, "resident-go.segments")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(executable) // #nosec G204 -- itself
	cmd.Env = append(os.Environ(), residentVariable+"=1", "HOTPATH_DIR="+dir, "GOMAXPROCS=2")
	cmd.Stderr = os.Stderr
	hold, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start this program again: %w", err)
	}
	if _, err = parse(output); err == nil {
		err = add("Go", dir)
	}
	return rows, errors.Join(err, hold.Close(), cmd.Wait())
}

// resident is how much memory the only segment in a directory takes, and how many stripes it uses.
func resident(dir string) (kib float64, stripes uint64, err error) {
	names, err := filepath.Glob(filepath.Join(dir, "[0-9]*"))
	if err != nil || len(names) != 1 {
		return 0, 0, fmt.Errorf("%d segments in %s, not one", len(names), dir)
	}
	f, err := os.Open(names[0])
	if err != nil {
		return 0, 0, fmt.Errorf("open segment: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, fmt.Errorf("stat segment: %w", err)
	}
	var word [8]byte
	if _, err := f.ReadAt(word[:], segment.OffStripesUsed); err != nil {
		return 0, 0, fmt.Errorf("read segment: %w", err)
	}
	return float64(info.Sys().(*syscall.Stat_t).Blocks) * blockSize / 1024, *(*uint64)(unsafe.Pointer(&word)), nil
}
