package probe

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"strings"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/aggregate"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/binary"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/kernel"
)

// What probe.bpf.c calls these.
const (
	operandConstant = 1
	operandRegister = 2
	operandMemory   = 3

	attributeInteger     = 1
	attributeString      = 2
	attributeSizedString = 3

	valueOne      = 0
	valueOperand  = 1
	valueReturned = 2
	valueDuration = 3

	flagFolded = 1

	gaugeSigned = 2

	keySize    = 16 // without attributes
	zeroBucket = segment.HistogramBuckets
)

// cast is what is taken of a number.
type cast struct {
	size   uint8
	signed bool
}

var casts = map[string]cast{
	"":   {},
	"s8": {1, true}, "s16": {2, true}, "s32": {4, true}, "s64": {8, true},
	"u8": {1, false}, "u16": {2, false}, "u32": {4, false}, "u64": {8, false},
	typeBool: {1, false}, typeString: {8, false},
}

// place is where in a file the probe goes, and with which constants its programs run there.
type place struct {
	offset, semaphore uint64
	constants         probeConfig
}

// places finds where in a file the probe goes.
func (p *probe) places(f *binary.File) ([]place, error) {
	if p.cfg.USDT != nil {
		return p.tracepoints(f)
	}
	return p.functions(f)
}

func (p *probe) functions(f *binary.File) ([]place, error) {
	u := p.cfg.Uprobe
	sites, err := sitesOf(f, u)
	if err != nil {
		return nil, err
	}
	var all []place
	for _, site := range sites {
		if err := p.check(&site); err != nil {
			return nil, err
		}
		abi := binary.C
		if u.ABI == abiGo || u.ABI == "" && site.Go {
			abi = binary.Go
		}
		if abi == binary.Go && p.cfg.hasReturn() {
			return nil, fmt.Errorf("%s is a function of Go's, which moves its stacks: a return probe would make the program crash", site.Symbol)
		}
		c, err := p.constants(f, func(n int) (binary.Operand, error) {
			if site.NoArguments != "" {
				return binary.Operand{}, errors.New(site.NoArguments)
			}
			return f.Argument(n, abi)
		}, abi == binary.Go)
		if err != nil {
			return nil, fmt.Errorf("function %s: %w", site.Symbol, err)
		}
		all = append(all, place{offset: site.Offset, constants: c})
	}
	return all, nil
}

func sitesOf(f *binary.File, u *Uprobe) ([]binary.Site, error) {
	if u.Symbol != "" {
		return f.Functions(u.Symbol, u.Offset)
	}
	site, err := f.Address(u.Offset)
	return []binary.Site{site}, err
}

func (p *probe) tracepoints(f *binary.File) ([]place, error) {
	points, err := f.Tracepoints(p.cfg.USDT.Provider, p.cfg.USDT.Name)
	if err != nil {
		return nil, err
	}
	var all []place
	for _, t := range points {
		point := tracepoint{&t}
		if err := p.check(&point.Site); err != nil {
			return nil, err
		}
		c, err := p.constants(f, point.argument, false)
		if err != nil {
			return nil, fmt.Errorf("tracepoint %s: %w", p.cfg.where(), err)
		}
		all = append(all, place{offset: point.Offset, semaphore: point.Semaphore, constants: c})
	}
	return all, nil
}

type tracepoint struct{ *binary.Tracepoint }

func (t tracepoint) argument(n int) (binary.Operand, error) {
	if n >= len(t.Arguments) {
		return binary.Operand{}, fmt.Errorf("has no argument %d: it has %d", n, len(t.Arguments))
	}
	return t.Arguments[n], nil
}

// optimizable is the length of the nop that newer kernels turn into a call.
const optimizable = 5

func (p *probe) check(site *binary.Site) error {
	if p.rewritesNops && site.Nop > 0 {
		if site.Nop == optimizable && (p.cfg.USDT != nil || p.cfg.Uprobe.Offset != 0) {
			return fmt.Errorf("at %s this kernel would turn the nop of %d bytes into a call, which overwrites what the function may keep below its stack pointer",
				p.cfg.where(), optimizable)
		}
		return nil
	}
	if site.Stepped == "" || p.cfg.SingleStep {
		return nil
	}
	return fmt.Errorf("at %s the kernel would have to single-step the instruction %s, which costs many times a hit: probe another place, or set single_step: true",
		p.cfg.where(), site.Stepped)
}

// constants are those of the programs where arguments are found like that.
func (p *probe) constants(f *binary.File, argument func(int) (binary.Operand, error), goStrings bool) (probeConfig, error) {
	c := p.fixed
	c.StackWord, c.ReturnPops = f.StackPointer(), f.ReturnPops()
	get := func(o *Operand) (probeOperand, error) {
		if o.Return {
			return located(f.ReturnValue(), o.Type)
		}
		at, err := argument(*o.Arg)
		if err != nil {
			return probeOperand{}, err
		}
		return located(at, o.Type)
	}
	var err error
	if v := p.cfg.Value; v != nil && !v.Duration {
		if c.Value, err = get(v); err != nil {
			return c, fmt.Errorf("value: %w", err)
		}
		c.ValueSigned = c.Value.CastSigned
	}
	for i, key := range p.keys {
		o := p.cfg.Attributes[key]
		a := &c.Attributes[i]
		if a.Operand, err = get(&o); err != nil {
			return c, fmt.Errorf("attributes::%s: %w", key, err)
		}
		if a.Type == attributeString && goStrings {
			a.Type = attributeSizedString
			next := *o.Arg + 1
			if a.Length, err = get(&Operand{Arg: &next}); err != nil {
				return c, fmt.Errorf("attributes::%s: the length of the string: %w", key, err)
			}
		}
	}
	c.MaySleep = kernel.Bool(p.cfg.Fetch && readsMemory(&c))
	return c, nil
}

// readsMemory says whether the programs read memory of the process, which may have to be fetched.
func readsMemory(c *probeConfig) bool {
	for i := range c.Attributes {
		if a := &c.Attributes[i]; a.Type == attributeString || a.Type == attributeSizedString || a.Operand.Kind == operandMemory {
			return true
		}
	}
	return c.Value.Kind == operandMemory
}

// located is where an operand is and what is taken of it.
func located(at binary.Operand, as string) (probeOperand, error) {
	o := probeOperand{
		Constant: at.Constant, Word: at.Register, Shift: at.Shift, Index: at.Index, Scale: at.Scale,
		Size: at.Size, IsSigned: kernel.Bool(at.Signed), Cast: 8, CastSigned: kernel.Bool(at.Signed),
	}
	switch at.Kind {
	case binary.Constant:
		o.Kind = operandConstant
	case binary.Register:
		o.Kind = operandRegister
	case binary.Memory:
		o.Kind = operandMemory
	default:
		return o, fmt.Errorf("%s is floating point, or of no kind that can be read", at.Text)
	}
	if c := casts[as]; c.size != 0 {
		o.Cast, o.CastSigned = c.size, kernel.Bool(c.signed)
	}
	return o, nil
}

// fixed are the constants that do not depend on the file.
func fixed(c *Config, number, maxProcesses int) probeConfig {
	k := probeConfig{
		Probe: uint32(number), MaxEntries: uint32(c.MaxSeries), Reserve: reserve(c.MaxSeries),
		Kind: uint8(c.Metric.Kind()), IsEvents: kernel.Bool(c.Mode == modeEvents), Folds: kernel.Bool(len(c.Attributes) > 0),
		HasReturn: kernel.Bool(c.hasReturn()), KeySize: uint32(keySize), MaxProcesses: uint32(maxProcesses),
	}
	if v := c.Value; v != nil {
		switch {
		case v.Duration:
			k.ValueFrom = valueDuration
		case v.Return:
			k.ValueFrom = valueReturned
		default:
			k.ValueFrom = valueOperand
		}
	}
	offset := 0
	for i, key := range c.keys() {
		o := c.Attributes[key]
		a := &k.Attributes[i]
		a.Type, a.AtReturn, a.Offset = attributeInteger, kernel.Bool(o.Return), uint32(offset)
		if o.Type == typeString {
			a.Type, a.Room = attributeString, uint32(o.Length+1)
		}
		offset += o.room()
	}
	k.KeySize += uint32(offset)
	if c.Filter.UID != nil {
		k.FiltersUid, k.Uid = 1, *c.Filter.UID
	}
	if c.Filter.Executable != nil {
		k.FiltersExecutable = 1
		for i, b := range []byte(*c.Filter.Executable) {
			k.Executable[i/8] |= uint64(b) << (i % 8 * 8)
		}
	}
	if c.Filter.Cgroup != nil {
		k.FiltersCgroup, k.CgroupLevel = 1, int32(cgroupLevel(*c.Filter.Cgroup))
	}
	return k
}

// reserve is how many entries more there may be, for what others are folded into.
func reserve(maxSeries int) uint32 { return uint32(maxSeries/4) + 64 }

func cgroupLevel(path string) int {
	return len(strings.FieldsFunc(path, func(r rune) bool { return r == '/' }))
}

// thresholds returns the smallest value that a scale puts into each bucket of a histogram, or above it.
func thresholds(scale aggregate.Scale) (t [segment.HistogramBuckets]uint64) {
	for i := range t {
		t[i] = smallest(func(v uint64) bool {
			scaled := scale.Double(float64(v))
			if math.IsInf(scaled, 1) {
				return true
			}
			bucket, _ := segment.BucketIndex(scaled)
			return bucket >= i
		})
	}
	return t
}

// smallest returns the least positive number of which something is true that is true of all above it.
func smallest(is func(uint64) bool) uint64 {
	bits := sort.Search(64, func(bits int) bool { return is(1 << bits) })
	if bits == 0 {
		return 1
	}
	if bits == 64 {
		return math.MaxUint64
	}
	low := uint64(1) << (bits - 1) // of which it is false
	return low + uint64(sort.Search(1<<(bits-1), func(n int) bool { return is(low + uint64(n)) }))
}
