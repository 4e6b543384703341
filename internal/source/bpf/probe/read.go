package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/hotpath-metrics/hotpath/internal/aggregate"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Entries that are read at once: as many as have so many values, but none fewer than may be in one bucket of a hash table, or the
// kernel refuses.
const (
	batchValues = 1 << 13
	minBatch    = 256
)

// reader reads the values of a probe.
type reader struct {
	values  *ebpf.Map
	perCPU  int // values of an entry
	keySize int
	keysOut any // slots for keys, and their bytes
	keys    []byte
	out     []probeValue
	entries map[string]*entry
	freed   probeLedger
	back    map[uint32]uint64 // what users got back of their entries
}

// entry is what was read of one before.
type entry struct {
	count, sum uint64
	seen       bool
}

func newReader(p *probe) (*reader, error) {
	r := &reader{values: p.loaded.maps[probeMapValues], keySize: int(p.fixed.KeySize), perCPU: 1, entries: map[string]*entry{}, back: map[uint32]uint64{}}
	if r.values.Type() == ebpf.PerCPUHash {
		var err error
		if r.perCPU, err = ebpf.PossibleCPU(); err != nil {
			return nil, err
		}
	}
	batch := max(minBatch, batchValues/r.perCPU)
	r.keysOut, r.keys = slots(batch, r.keySize)
	r.out = make([]probeValue, batch*r.perCPU)
	return r, nil
}

// slots are a slice of arrays of a size, and the bytes behind it.
func slots(n, size int) (any, []byte) {
	all := reflect.MakeSlice(reflect.SliceOf(reflect.ArrayOf(size, reflect.TypeFor[byte]())), n, n)
	return all.Interface(), unsafe.Slice((*byte)(all.UnsafePointer()), n*size)
}

// readAll takes what was counted since the last time, and the ends of processes.
func (s *Source) readAll(ended []processesProcessId) error {
	var errs []error
	for _, p := range s.probes {
		gone, err := s.readValues(p)
		errs = append(errs, err)
		if err == nil && len(ended) > 0 {
			errs = append(errs, s.free(p, gone), s.forgetCalls(p, s.hasEnded))
		}
		errs = append(errs, s.readSkipped(p))
	}
	if errors.Join(errs...) != nil {
		return errors.Join(errs...) // the ends come with the next collection
	}
	for _, id := range ended {
		s.processes[id].measured.End()
		errs = append(errs, s.forget(id))
		delete(s.processes, id)
		s.last = nil
	}
	return errors.Join(append(errs, s.common.charges.settle())...)
}

// hasEnded says whether readProcesses found a process to have ended.
func (s *Source) hasEnded(id processesProcessId) bool {
	p := s.processes[id]
	return p != nil && p.ended
}

// readProcesses finds out which processes have ended.
func (s *Source) readProcesses() (ended []processesProcessId, err error) {
	var ids [256]processesProcessId
	var all [256]processesProcess
	for cursor := (ebpf.MapBatchCursor{}); ; {
		n, err := s.common.processes.BatchLookup(&cursor, ids[:], all[:], nil)
		for i := range n {
			p := s.processes[ids[i]]
			if p != nil && p.executable != text(all[i].Executable[:]) && !s.table.Full() { // it executed a program
				p.measured.End()
				p = nil
			}
			if p == nil {
				p = s.begin(ids[i], &all[i])
			}
			if p != nil && all[i].Ended != 0 { // without room for it, it stays in the kernel
				ended = append(ended, ids[i])
				p.ended = true
			}
		}
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return ended, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read processes: %w", err)
		}
	}
}

// readValues adds what came to the values of a probe. It returns the keys of processes that ended.
func (s *Source) readValues(p *probe) (gone [][]byte, err error) {
	r := p.reader
	for cursor := (ebpf.MapBatchCursor{}); ; {
		n, err := r.values.BatchLookup(&cursor, r.keysOut, r.out, nil)
		for i := range n {
			key := r.keys[i*r.keySize:][:r.keySize]
			if s.readEntry(p, key, r.out[i*r.perCPU:][:r.perCPU]) {
				gone = append(gone, append([]byte(nil), key...))
			}
		}
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return gone, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read probe %d: %w", p.number, err)
		}
	}
}

// readEntry adds what came to an entry. It returns whether its process has ended.
func (s *Source) readEntry(p *probe, key []byte, values []probeValue) (ended bool) {
	k := parseKey(key)
	of := s.process(k.id)
	if of == nil {
		return false // it began after the processes were read, or there is no room for it
	}
	e := p.reader.entries[string(key)]
	if e == nil {
		e = &entry{}
		p.reader.entries[string(key)] = e
	}
	var count, sum uint64
	for i := range values {
		count += values[i].Count
		sum += values[i].Sum
	}
	if p.cfg.Metric.Kind() == emit.KindGauge && count == 0 {
		return of.ended // it is being made
	}
	if count == e.count && sum == e.sum && e.seen {
		return of.ended
	}
	stream := p.put(&k)
	var refusal aggregate.Refusal
	switch in := p.cfg.Metric.Kind(); in {
	case emit.KindHistogram:
		refusal = stream.RecordBucket(of.measured, int(k.bucket), count-e.count, sum-e.sum, of.start)
	case emit.KindGauge:
		refusal = stream.Record(of.measured, number(sum, count == gaugeSigned), of.start)
	case emit.KindUpDownCounter:
		refusal = stream.Record(of.measured, aggregate.Int(int64(sum-e.sum)), of.start)
	default:
		refusal = stream.Record(of.measured, aggregate.Uint(sum-e.sum), of.start)
	}
	if refusal != "" {
		s.skips[string(refusal)]++
	}
	e.count, e.sum, e.seen = count, sum, true
	return of.ended
}

func number(bits uint64, signed bool) aggregate.Number {
	if signed {
		return aggregate.Int(int64(bits))
	}
	return aggregate.Uint(bits)
}

// free makes room for the entries of others.
func (s *Source) free(p *probe, keys [][]byte) error {
	r := p.reader
	owners := map[uint32]struct{}{}
	for _, key := range keys {
		if err := remove(r.values, key); err != nil {
			return fmt.Errorf("free probe %d: %w", p.number, err)
		}
		delete(r.entries, string(key))
		r.freed.Entries++
		if k := parseKey(key); p.fixed.Folds != 0 && !k.folded {
			owner := s.processes[k.id].owner
			r.back[owner]++
			owners[owner] = struct{}{}
		}
	}
	for owner := range owners {
		if err := p.settleEntries(owner); err != nil {
			return err
		}
	}
	return p.publish()
}

// publish tells the programs what the collector has to tell them.
func (p *probe) publish() error {
	const freed = uint32(1)
	if err := p.loaded.maps[probeMapLedgers].Put(freed, p.reader.freed); err != nil {
		return fmt.Errorf("write ledger of probe %d: %w", p.number, err)
	}
	return nil
}

// forget lets the kernel forget a process.
func (s *Source) forget(id processesProcessId) error {
	for _, p := range s.probes {
		if p.fixed.Folds == 0 {
			continue
		}
		if err := remove(p.loaded.maps[probeMapShares], probeShare{Id: id.Tgid, Of: ofProcess, Start: id.Start}); err != nil {
			return fmt.Errorf("forget process: %w", err)
		}
	}
	if err := remove(s.common.processes, id); err != nil {
		return fmt.Errorf("forget process: %w", err)
	}
	s.common.charges.of(s.processes[id].owner).Processes++
	s.common.charges.of(everybody).Processes++
	return nil
}

// key is what the kernel identifies an entry by.
type key struct {
	id      processesProcessId
	bucket  uint16
	folded  bool
	unknown uint8 // a bit for each attribute
	bytes   []byte
}

func parseKey(b []byte) key {
	return key{
		id:     processesProcessId{Tgid: binary.NativeEndian.Uint32(b), Start: binary.NativeEndian.Uint64(b[8:])},
		bucket: binary.NativeEndian.Uint16(b[4:]), folded: b[6]&flagFolded != 0, unknown: b[7], bytes: b[keySize:],
	}
}

// put puts the attributes of a hit into a stream, and returns it.
func (p *probe) put(k *key) *aggregate.Stream {
	if k.folded {
		p.overflow.Begin()
		p.overflow.PutBool(true)
		return p.overflow
	}
	p.stream.Begin()
	for i, name := range p.keys {
		at := &p.fixed.Attributes[i]
		value := k.bytes[at.Offset:]
		switch {
		case k.unknown&(1<<i) != 0:
			p.stream.PutString(unknown)
		case at.Type == attributeString:
			p.stream.PutString(cString(value[:at.Room]))
		case p.cfg.Attributes[name].Type == typeBool:
			p.stream.PutBool(binary.NativeEndian.Uint64(value) != 0)
		default:
			p.stream.PutInt(int64(binary.NativeEndian.Uint64(value)))
		}
	}
	return p.stream
}

var unknown = []byte("unknown")

func cString(b []byte) []byte {
	for i, c := range b {
		if c == 0 {
			return b[:i]
		}
	}
	return b
}
