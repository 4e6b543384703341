package binary

import (
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"slices"
)

// Site is a place for a probe.
type Site struct {
	Symbol  string // as the file names it, or provider:name
	Offset  uint64 // in the file: what the kernel wants
	Go      bool   // in a function of Go's: it has its own calling convention, and a return probe makes the program crash
	Stepped string // the instruction that the kernel has to single-step, empty if it emulates it
	Nop     uint8  // its length if it is a nop. Linux 6.18 and later emulate those of several bytes too, whatever Stepped says
	// NoArguments says why Argument does not tell where arguments are, empty if it does.
	NoArguments string
}

// Functions are the places of a function: several, if the file has more than one of that name, or overloads in C++ or other
// instances of a constructor. An offset has to be the beginning of an instruction.
func (f *File) Functions(name string, offset uint64) ([]Site, error) {
	in := newReader(f.r)
	all, err := f.functions(in, name)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", name, err)
	}
	goText, err := f.goText(in)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", name, err)
	}
	var sites []Site
	for _, s := range all {
		site, err := f.site(in, s, offset, goText)
		if err != nil {
			return nil, fmt.Errorf("find %s+%#x at %#x: %w", name, offset, s.value, err)
		}
		sites = append(sites, site)
	}
	return sites, nil
}

// functions are those of a name, one for each address.
func (f *File) functions(in *reader, name string) ([]found, error) {
	if f.symtab == nil && f.dynsym == nil {
		return nil, errors.New("the file has no symbols: it is stripped")
	}
	all, err := f.find(in, exactly(name))
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		if q, ok := declared(name); ok {
			if all, err = f.find(in, q); err != nil {
				return nil, err
			}
		}
	}
	functions := slices.DeleteFunc(slices.Clone(all), func(s found) bool { return !f.isFunction(&s.symbol) })
	// Of libc's memcpy, an old version is a function that nobody calls any more, and the new one is chosen at run time.
	chosen := slices.ContainsFunc(all, func(s found) bool { return s.kind == elf.STT_GNU_IFUNC && s.section != elf.SHN_UNDEF })
	if len(functions) == 0 || chosen {
		return nil, f.missing(in, name, all)
	}
	slices.SortStableFunc(functions, func(a, b found) int { return cmp.Compare(a.value, b.value) })
	return slices.CompactFunc(functions, func(a, b found) bool { return a.value == b.value }), nil
}

// missing says why a name cannot have a probe, given the symbols that have it.
func (f *File) missing(in *reader, name string, all []found) error {
	defined := slices.DeleteFunc(slices.Clone(all), func(s found) bool { return s.section == elf.SHN_UNDEF })
	switch {
	case len(all) > 0 && len(defined) == 0:
		return errors.New("it is imported from another library: take that one")
	case slices.ContainsFunc(defined, func(s found) bool { return s.kind == elf.STT_GNU_IFUNC }):
		return fmt.Errorf("it has several implementations, of which the program chooses one when it starts: take that one%s",
			f.near(in, name).list(", such as "))
	case slices.ContainsFunc(defined, func(s found) bool { return s.kind == elf.STT_FUNC }):
		return fmt.Errorf("there is no code at its address %#x", defined[0].value)
	case len(defined) > 0:
		return errors.New("it is data, not a function")
	}
	says := "no such function" + f.near(in, name).list("; names like it: ")
	if f.symtab == nil {
		says += "; the file is stripped and tells only the functions that it exports"
	}
	return errors.New(says)
}

// site is the place at an offset into a function.
func (f *File) site(in *reader, s found, offset uint64, goText span) (Site, error) {
	address := s.value + offset
	var err error
	if offset == 0 {
		if address, err = f.skipEndbr64(in, address); err != nil {
			return Site{}, err
		}
	} else {
		if offset >= s.size {
			return Site{}, fmt.Errorf("it has %d bytes", s.size)
		}
		if err := f.walk(in, s.value, address); err != nil {
			return Site{}, err
		}
	}
	i, err := f.look(in, address)
	if err != nil {
		return Site{}, err
	}
	at, _, ok := f.code(address)
	if !ok {
		return Site{}, fmt.Errorf("there is no code at %#x", address)
	}
	site := Site{Symbol: s.name, Offset: at, Go: isGo(s, goText), Stepped: i.stepped, Nop: i.nop}
	if site.Go {
		site.NoArguments = goNoArguments(s.name)
	}
	return site, nil
}

// Address is the place at an address in the file's own numbering, as nm and objdump show it. It has to be the beginning of an
// instruction of a function that has a symbol.
func (f *File) Address(address uint64) (Site, error) {
	in := newReader(f.r)
	site, err := f.at(in, address)
	if err != nil {
		return Site{}, fmt.Errorf("find address %#x: %w", address, err)
	}
	return site, nil
}

func (f *File) at(in *reader, address uint64) (Site, error) {
	s, err := f.around(in, address)
	if err != nil {
		return Site{}, err
	}
	goText, err := f.goText(in)
	if err != nil {
		return Site{}, err
	}
	return f.site(in, s, address-s.value, goText)
}

// around finds the function that an address is in: the one that begins closest to it.
func (f *File) around(in *reader, address uint64) (found, error) {
	if _, _, ok := f.code(address); !ok {
		return found{}, errors.New("there is no code")
	}
	var best found
	var names *symbolTable
	for _, t := range f.tables() {
		err := t.each(in, func(s symbol) bool {
			inside := address >= s.value && (address-s.value < s.size || address == s.value)
			if inside && (names == nil || s.value > best.value || s.value == best.value && s.size > best.size) && f.isFunction(&s) {
				best.symbol, names = s, t
			}
			return true
		})
		if err != nil {
			return found{}, err
		}
	}
	if names == nil {
		return found{}, errors.New("no symbol tells which function it is in, so that nothing proves that an instruction begins there")
	}
	var err error
	best.name, err = names.name(in, best.nameAt)
	best.name = withoutVersion(best.name)
	return best, err
}
