package binary

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	maxPlaces = 1 << 17
	maxFound  = 1 << 12
)

var errTooMany = errors.New("too many symbols are named like it")

// place is a range of offsets in a table of names: names that begin there are looked at.
type place struct{ from, to uint32 }

// query is what a symbol is looked for by. The table of names is searched first, which is far faster than reading the name of each symbol.
type query struct {
	part  string                             // of the name
	whole bool                               // or all of it, but for a version
	match func(in *reader, name string) bool // may be asked of a name with its version
}

// exactly looks for a name; in the file it may be followed by its version, @V or @@V.
func exactly(name string) query {
	return query{name, true, func(_ *reader, found string) bool { return found == name || withoutVersion(found) == name }}
}

func withoutVersion(name string) string {
	if at := strings.IndexByte(name, '@'); at > 0 {
		return name[:at]
	}
	return name
}

// found is a symbol with its name.
type found struct {
	symbol
	name string
}

// find looks for symbols of whatever type in all tables.
func (f *File) find(in *reader, q query) ([]found, error) {
	var all []found
	for _, t := range f.tables() {
		if err := t.check(); err != nil {
			return nil, err
		}
		places, err := search(in, &t.names, q)
		if err != nil {
			return nil, fmt.Errorf("search names: %w", err)
		}
		if len(places) == 0 {
			continue
		}
		if all, err = t.take(in, q, places, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// take appends the symbols whose names begin in places and match.
func (t *symbolTable) take(in *reader, q query, places []place, all []found) ([]found, error) {
	var failed error
	names := map[uint32]string{} // empty for those that don't match
	err := t.each(in, func(s symbol) bool {
		at, _ := slices.BinarySearchFunc(places, s.nameAt, func(p place, name uint32) int {
			if p.to < name {
				return -1
			}
			return 1
		})
		if s.nameAt == 0 || at == len(places) || s.nameAt < places[at].from {
			return true
		}
		name, known := names[s.nameAt]
		if !known {
			if len(names) == maxPlaces {
				failed = errTooMany
				return false
			}
			if name, failed = t.name(in, s.nameAt); failed != nil {
				return false
			}
			if q.match(in, name) {
				name = strings.Clone(withoutVersion(name))
			} else {
				name = ""
			}
			if in.demangling <= 0 {
				failed = errTooLong
				return false
			}
			names[s.nameAt] = name
		}
		if name == "" {
			return true
		}
		if len(all) == maxFound {
			failed = errTooMany
			return false
		}
		all = append(all, found{s, name})
		return true
	})
	return all, errors.Join(err, failed)
}

// search finds where names begin that have a part in them. A name may begin within another one: linkers merge common ends.
func search(in *reader, table *elf.Section64, q query) ([]place, error) {
	var (
		places []place
		part   = []byte(q.part)
		buffer = make([]byte, 256<<10+len(part))
		filled int    // of the buffer, from its beginning
		offset uint64 // in the table, of the buffer's beginning
		begin  uint64 // of the name that the buffer's beginning is in
	)
	if len(part) == 0 || len(part) > maxName {
		return nil, fmt.Errorf("a name has 1 to %d bytes", maxName)
	}
	for offset+uint64(filled) < table.Size {
		next := buffer[filled:min(uint64(len(buffer)), uint64(filled)+table.Size-offset-uint64(filled))]
		if err := in.read(next, table.Off+offset+uint64(filled)); err != nil {
			return nil, err
		}
		filled += len(next)
		window := buffer[:filled]
		last := offset+uint64(filled) == table.Size
		looked := 0
		for {
			hit := bytes.Index(window[looked:], part)
			// The byte behind the part has to be there.
			if hit < 0 || looked+hit+len(part) >= filled && !last {
				break
			}
			hit += looked
			if end := bytes.LastIndexByte(window[looked:hit], 0); end >= 0 {
				begin = offset + uint64(looked+end+1)
			}
			looked = hit + 1
			after := hit + len(part)
			p := place{uint32(begin), uint32(offset) + uint32(hit)}
			if q.whole {
				if after >= filled || window[after] != 0 && window[after] != '@' {
					continue
				}
				p.from = p.to
			} else if n := len(places); n > 0 && places[n-1].from == p.from {
				places[n-1].to = p.to
				continue
			}
			if len(places) == maxPlaces {
				return nil, errTooMany
			}
			places = append(places, p)
		}
		keep := min(len(part), filled-looked)
		if end := bytes.LastIndexByte(window[looked:filled-keep], 0); end >= 0 {
			begin = offset + uint64(looked+end+1)
		}
		copy(buffer, window[filled-keep:])
		offset += uint64(filled - keep)
		filled = keep
	}
	return places, nil
}
