package probe

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const (
	callSize      = 8 + 4 + 4
	callBatch     = 1024
	inFlightFirst = 8 // bytes of a call's entry before its key
)

// How often calls are forgotten whose process never came to the end of one.
const sweepEvery = time.Minute

// sweep takes calls away that processes ended in, of which nothing else is known, in time or since there was no room for another one.
func (s *Source) sweep(p *probe, full bool) error {
	if !full && time.Since(p.swept) < sweepEvery {
		return nil
	}
	p.swept = time.Now()
	dead := map[uint32]bool{}
	return s.forgetCalls(p, func(id processesProcessId) bool {
		is, known := dead[id.Tgid]
		if !known {
			is = errors.Is(unix.Kill(int(id.Tgid), 0), unix.ESRCH)
			dead[id.Tgid] = is
		}
		return is
	})
}

// forgetCalls takes calls away that processes ended in. They would stay for good, and leave no room for others.
func (s *Source) forgetCalls(p *probe, ended func(processesProcessId) bool) error {
	if p.fixed.HasReturn == 0 {
		return nil
	}
	calls := p.loaded.maps[probeMapCalls]
	keysOut, keys := slots(callBatch, callSize)
	valueSize := int(calls.ValueSize())
	valuesOut, values := slots(callBatch, valueSize)
	var left [][]byte
	var owners []uint32
	for cursor := (ebpf.MapBatchCursor{}); ; {
		n, err := calls.BatchLookup(&cursor, keysOut, valuesOut, nil)
		for i := range n {
			k := parseKey(values[i*valueSize+inFlightFirst:][:p.reader.keySize])
			if ended(k.id) {
				left = append(left, append([]byte(nil), keys[i*callSize:][:callSize]...))
				owners = append(owners, s.ownerOf(k.id))
			}
		}
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			break
		}
		if err != nil {
			return fmt.Errorf("read calls of probe %d: %w", p.number, err)
		}
	}
	for i, key := range left {
		if err := remove(calls, key); err != nil {
			return fmt.Errorf("forget calls of probe %d: %w", p.number, err)
		}
		p.reader.freed.Calls++
		s.common.charges.of(owners[i]).Calls++
	}
	if len(left) == 0 {
		return nil
	}
	return p.publish()
}

// ownerOf returns whom the calls of a process are charged to.
func (s *Source) ownerOf(id processesProcessId) uint32 {
	if p := s.processes[id]; p != nil {
		return p.owner
	}
	var known processesProcess
	if s.common.processes.Lookup(id, &known) != nil {
		return everybody // it is forgotten
	}
	return known.Owner
}
