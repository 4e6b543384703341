package binary

import (
	"debug/elf"
	"errors"
	"fmt"
)

const maxTracepoints = 1 << 12

// Tracepoint is one place of a tracepoint (USDT). A tracepoint may have several, each with its own operands.
type Tracepoint struct {
	Site
	Semaphore uint64 // the offset in the file of the counter that says whether somebody looks, 0 if it has none
	Arguments []Operand
}

// Tracepoints are all places of a tracepoint.
func (f *File) Tracepoints(provider, name string) ([]Tracepoint, error) {
	full := provider + ":" + name
	all, err := f.tracepoints(newReader(f.r), provider, name)
	if err != nil {
		return nil, fmt.Errorf("find tracepoint %s: %w", full, err)
	}
	return all, nil
}

func (f *File) tracepoints(in *reader, provider, name string) ([]Tracepoint, error) {
	goText, err := f.goText(in)
	if err != nil {
		return nil, err
	}
	var (
		all    []Tracepoint
		names  near // of the same provider
		others near
		seen   = map[uint64]bool{}
	)
	err = f.eachNote(in, func(n note) error {
		if n.provider != provider || n.name != name {
			if n.provider == provider {
				names.offer(suggestion{n.name, editDistance(name, n.name, 4)})
			} else {
				others.offer(suggestion{n.provider, editDistance(provider, n.provider, 4)})
			}
			return nil
		}
		if n.address == 0 { // of a function that the linker left out
			return nil
		}
		t, err := f.tracepoint(in, n, goText)
		if err != nil {
			return err
		}
		if seen[t.Offset] {
			return nil
		}
		if seen[t.Offset] = true; len(all) == maxTracepoints {
			return fmt.Errorf("it has more than %d places", maxTracepoints)
		}
		all = append(all, t)
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(all) > 0:
		return all, nil
	case len(names) > 0:
		return nil, errors.New("no such name" + names.list("; others of this provider: "))
	case len(others) > 0:
		return nil, errors.New("no such provider" + others.list("; others in the file: "))
	}
	return nil, errors.New("the file has no tracepoints")
}

func (f *File) tracepoint(in *reader, n note, goText span) (Tracepoint, error) {
	if f.base != nil && n.base != 0 {
		// The file was moved (prelinked) after the notes had been written.
		moved := f.base.Addr - n.base
		n.address += moved
		if n.semaphore != 0 {
			n.semaphore += moved
		}
	}
	at, _, ok := f.code(n.address)
	if !ok {
		return Tracepoint{}, fmt.Errorf("there is no code at %#x", n.address)
	}
	i, err := f.look(in, n.address)
	if err != nil {
		return Tracepoint{}, err
	}
	t := Tracepoint{Site: Site{
		Symbol: n.provider + ":" + n.name, Offset: at, Go: n.address >= goText.from && n.address < goText.to,
		Stepped: i.stepped, Nop: i.nop, NoArguments: "it is a tracepoint",
	}}
	if n.semaphore != 0 {
		if t.Semaphore, _, ok = f.offset(n.semaphore, elf.PF_W); !ok {
			return Tracepoint{}, fmt.Errorf("its semaphore at %#x is not in the file's data", n.semaphore)
		}
	}
	if t.Arguments, err = f.operands(in, n.arguments, n.address); err != nil {
		return Tracepoint{}, err
	}
	return t, nil
}
