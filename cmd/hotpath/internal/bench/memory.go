package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// memory is what series take of the process and of the collector. It is the last that is done to a bed.
func (r *run) memory(b *bed, row *Row) error {
	if b.series == "" {
		return nil
	}
	client := b.some()[0]
	w := b.workers[client]
	if err := w.Series(0); err != nil { // has everything started that the first one takes
		return err
	}
	processBefore, collectorBefore, err := b.resident(client)
	if err != nil {
		return err
	}
	if err := w.Series(r.series); err != nil {
		return err
	}
	if b.collector != nil {
		name := strings.TrimSuffix(b.place.seriesName(b.mechanism, client), ".adds") + ".shards"
		if err := b.heardOf(client, name, uint64(r.series)); err != nil {
			return err
		}
	}
	processAfter, collectorAfter, err := b.resident(client)
	if err != nil {
		return err
	}
	process, collector := float64(processAfter-processBefore)/float64(r.series), float64(collectorAfter-collectorBefore)/float64(r.series)
	r.mu.Lock()
	defer r.mu.Unlock()
	row.ProcessBytes = &process
	if b.collector != nil {
		row.CollectorBytes = &collector
	}
	return nil
}

// heardOf waits until the collector has each of the series, whose values are 1. What there was no room for comes with the next update.
func (b *bed) heardOf(client, name string, series uint64) error {
	deadline := time.Now().Add(patience)
	for {
		if _, err := b.workers[client].Do(b.subject, 1, 1); err != nil {
			return err
		}
		text, err := b.collector.Ask("total", "total %s", name)
		if err != nil {
			return err
		}
		var total uint64
		if _, err := fmt.Sscan(text, &total); err != nil {
			return fmt.Errorf("read total: %w", err)
		}
		if total >= series {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d series arrived", total, series)
		}
		time.Sleep(shortInterval)
	}
}

// resident is the memory of process and collector.
func (b *bed) resident(client string) (process, collector int64, err error) {
	if process, err = mapped(b.workers[client].PID); err != nil || b.collector == nil {
		return process, 0, err
	}
	if _, err := b.collector.Ask("settle", "settle"); err != nil {
		return 0, 0, err
	}
	if collector, err = mapped(b.collector.PID); err != nil {
		return 0, 0, err
	}
	images, err := memfds(b.collector.PID, b.workers[client].PID)
	return process, collector + images, err
}

// mapped is the memory that a process has changed, its share of what it shares included, and no files.
func mapped(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	var sum int64
	for line := range strings.Lines(string(text)) {
		var kib int64
		for _, kind := range []string{"Pss_Anon", "Pss_Shmem"} {
			if _, err := fmt.Sscanf(line, kind+": %d", &kib); err == nil {
				sum += kib << 10
			}
		}
	}
	return sum, nil
}

// memfds is the memory in files of a process that have no name and are not another process's: a collector does not map them.
func memfds(pid, other int) (int64, error) {
	theirs, err := memfdsOf(other)
	if err != nil {
		return 0, err
	}
	own, err := memfdsOf(pid)
	var sum int64
	for inode, size := range own {
		if _, shared := theirs[inode]; !shared {
			sum += size
		}
	}
	return sum, err
}

func memfdsOf(pid int) (map[uint64]int64, error) {
	names, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return nil, fmt.Errorf("list descriptors: %w", err)
	}
	sizes := map[uint64]int64{}
	for _, name := range names {
		if link, err := os.Readlink(name); err != nil || !strings.HasPrefix(link, "/memfd:") {
			continue // or closed meanwhile
		}
		var st unix.Stat_t
		if err := unix.Stat(name, &st); err == nil {
			sizes[st.Ino] = st.Blocks * blockSize
		}
	}
	return sizes, nil
}

const blockSize = 512 // of st_blocks, stat(2)
