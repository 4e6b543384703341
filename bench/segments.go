package main

import (
	"fmt"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// Sizes of a client's segments, sparse as theirs.
const (
	catalogueEnd = 8 << 20
	sharedSize   = 256 << 10
	stripeSize   = 8 << 20
	stripes      = 3 // stripe 0 and those of two writers
	fileSize     = catalogueEnd + sharedSize + stripes*stripeSize
	pageSize     = 4096
	wordSize     = 8
)

// What a process publishes: instruments of ten series each.
const (
	instruments         = 10
	seriesPerInstrument = 10
	seriesPerProcess    = instruments * seriesPerInstrument
)

// process is a live segment, as far as its writer touches it.
type process struct {
	stripe []uint64 // the first page of stripe 1; keeps the lock
	shared []uint64 // the first page of the gauges
}

// publish writes a segment into the directory as docs/segment-format.md says, for
// a process that does not exist: eight counters, an updowncounter and a gauge, each with ten series.
func publish(dir string, n int) (*process, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	defer unix.Close(fd) // the mappings keep the lock
	if err := unix.Ftruncate(fd, fileSize); err != nil {
		return nil, fmt.Errorf("size segment: %w", err)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("lock segment: %w", err)
	}
	if _, err := unix.Pwrite(fd, head(n), 0); err != nil {
		return nil, fmt.Errorf("write segment: %w", err)
	}
	p := new(process)
	if p.shared, err = mapPage(fd, catalogueEnd); err != nil {
		return nil, err
	}
	for i := range stripes {
		if p.stripe, err = mapPage(fd, int64(catalogueEnd+sharedSize+i*stripeSize)); err != nil {
			return nil, err
		}
		p.stripe[0] = 1 // word 0 belongs to no series: now the page is there
	}
	name := filepath.Join(dir, fmt.Sprint(n))
	if err := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW); err != nil {
		return nil, fmt.Errorf("link segment: %w", err)
	}
	return p, nil
}

// mapPage maps one page until the program ends.
func mapPage(fd int, offset int64) ([]uint64, error) {
	b, err := unix.Mmap(fd, offset, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map segment: %w", err)
	}
	return unsafe.Slice((*uint64)(unsafe.Pointer(&b[0])), pageSize/wordSize), nil
}

// head is header and catalogue.
func head(n int) []byte {
	text := func(key, value string) segment.Attribute {
		return segment.Attribute{Key: key, Type: segment.AttributeString, Str: value}
	}
	b := make([]byte, segment.HeaderSize)
	b = segment.AppendRecord(b, &segment.Record{Kind: segment.KindResource, Attributes: []segment.Attribute{
		text("process.executable.name", "shop"), text("service.name", "shop"), text("service.version", "1.2.3"),
	}})
	word, gauge := uint64(1), uint64(1)
	for i := range instruments {
		kind, slot := uint8(segment.KindCounter), &word
		switch i {
		case instruments - 2:
			kind = segment.KindUpDownCounter
		case instruments - 1:
			kind, slot = segment.KindGauge, &gauge
		}
		for j := range seriesPerInstrument {
			b = segment.AppendRecord(b, &segment.Record{
				Kind: kind, Slot: *slot, Name: fmt.Sprint("shop.requests.", i), Unit: "{request}", Description: "Requests by route",
				Attributes: []segment.Attribute{text("http.route", fmt.Sprint("/items/", j)), {Key: "http.status", Type: segment.AttributeInt64, Bits: 200}},
			})
			*slot++
		}
	}
	header := segment.Header{
		FileSize: fileSize, StartTime: 1, PID: uint64(1 + n), SegmentID: uint64(1 + n),
		CatalogueOffset: segment.HeaderSize, CatalogueSize: catalogueEnd - segment.HeaderSize,
		SharedOffset: catalogueEnd, SharedSize: sharedSize,
		StripesOffset: catalogueEnd + sharedSize, StripeSize: stripeSize, StripeCount: stripes,
	}
	header.Instance[0], header.Instance[1] = byte(n), byte(n>>8)
	header.Put(b)
	words := unsafe.Slice((*uint64)(unsafe.Pointer(&b[0])), segment.HeaderSize/wordSize)
	words[segment.OffCatalogueUsed/wordSize] = uint64(len(b) - segment.HeaderSize)
	words[segment.OffStripesUsed/wordSize] = stripes
	return b
}

// update adds to each series n times.
func (p *process) update(n int) {
	for range n {
		for i := 1; i <= (instruments-1)*seriesPerInstrument; i++ {
			p.stripe[i]++
		}
		for i := 1; i <= seriesPerInstrument; i++ {
			p.shared[i]++
		}
	}
}
