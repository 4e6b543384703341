package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"unsafe"

	"github.com/hotpath-metrics/hotpath/client/go"
	"github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/measure"
	"github.com/hotpath-metrics/hotpath/internal/measure/worker"
)

const (
	// workerVariable makes this program the Go client whose segment is looked at.
	workerVariable = "HOTPATH_BENCH_WORKER"
	blockSize      = 512 // of st_blocks, stat(2)
)

// busy is how many adds make two threads meet on two CPUs.
const busy = 200_000_000

// serveWorker makes this program a worker in Go.
func serveWorker() error {
	w := worker.Worker{
		Status: hotpath.Status,
		Series: func(n int) {
			for i := range n {
				hotpath.NewCounter(prefix+".shards", hotpath.WithAttributes(hotpath.Int("shard", int64(i)))).Add(1)
			}
		},
		Subjects: []worker.Subject{{Name: "counter_add", Prepare: func() (func(int), error) {
			counter := hotpath.NewCounter(prefix + ".adds")
			return func(n int) {
				for range n {
					counter.Add(1)
				}
			}, nil
		}}},
	}
	return w.Serve(os.Stdin, os.Stdout)
}

// benchMemory looks at what segments take of the tmpfs.
func benchMemory(ctx context.Context, temporary string, withC bool) ([]row, error) {
	var rows []row
	look := func(client, dir string, p *worker.Process) error {
		_, err := p.Do("counter_add", 2, busy)
		if err := errors.Join(err, p.Series(99)); err != nil {
			return err
		}
		kib, used, err := resident(dir)
		if err == nil {
			what := fmt.Sprintf("%s client, 100 counters, stripe 0 and %d more", client, used-1)
			rows = append(rows, newRow("Memory", what, "KiB", measure.Series{kib}).within(budget{most: 64}))
		}
		return err
	}
	if withC {
		c, err := startC(ctx, temporary, "resident", "shm")
		if err != nil {
			return nil, err
		}
		if err := errors.Join(look("C", c.dir, c.Process), c.Close()); err != nil {
			return nil, err
		}
	}
	dir := filepath.Join(temporary, "resident-go.segments")
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	p, err := worker.Start(ctx, executable, nil, workerVariable+"=1", "HOTPATH_DIR="+dir, "HOTPATH_TRANSPORT=shm", "GOMAXPROCS=2")
	if err != nil {
		return nil, err
	}
	return rows, errors.Join(look("Go", dir, p), p.Close())
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
