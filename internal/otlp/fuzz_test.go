package otlp_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/hotpath-metrics/hotpath/internal/otlp"
)

// FuzzRequest compares what becomes of any bytes with what pdata makes of them.
func FuzzRequest(f *testing.F) {
	md := pmetric.NewMetrics()
	sm := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	fillEveryKind(sm.Metrics())
	f.Add(marshal(md))
	f.Add(delta("1", 1, 2, 3))
	f.Add(append(delta("1", 1, 2, 3), delta("2", 1, 2, 3)...))
	f.Add(histogram(1, 2, []float64{1}, []uint64{1, 2}))
	f.Add(exponential(1, 2, 3, []int32{-300, 2}, []int32{4}))
	f.Add(wrap([]byte{0x0a, 0x02, 0x3a, 0x00, 0x0a, 0x00, 0x10, 0x81, 0x80, 0x00}, 7, 2, 2, 1))
	f.Fuzz(compare)
}

// FuzzMessage does the same for what is at least made of fields.
func FuzzMessage(f *testing.F) {
	for seed := range uint64(300) {
		program := make([]byte, 128)
		for i, r := 0, rand.New(rand.NewPCG(seed, 0)); i < len(program); i++ {
			program[i] = byte(r.Uint32())
		}
		f.Add(program)
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		paths := [][]byte{{1}, {2, 1}, {2, 2, 1}, {5, 2, 2, 1}, {7, 2, 2, 1}, {9, 2, 2, 1}, {10, 2, 2, 1}, {11, 2, 2, 1}}
		for number := byte(5); number <= 11; number++ {
			paths = append(paths, []byte{1, number, 2, 2, 1})
		}
		p := generator{program}
		path := paths[p.next()%len(paths)]
		compare(t, wrap(p.message(4), path...))
	})
}

// generator writes messages as a program says.
type generator struct{ program []byte }

func (g *generator) next() int {
	if len(g.program) == 0 {
		return 0
	}
	b := g.program[0]
	g.program = g.program[1:]
	return int(b)
}

func (g *generator) message(depth int) []byte {
	var b []byte
	for range g.next() % 8 {
		number := protowire.Number(g.next()%15 + 1)
		switch choice := g.next(); {
		case choice < 50:
			b = protowire.AppendTag(b, number, protowire.VarintType)
			b = protowire.AppendVarint(b, uint64(g.next())<<(g.next()%64))
		case choice < 100:
			b = protowire.AppendTag(b, number, protowire.Fixed64Type)
			b = protowire.AppendFixed64(b, uint64(g.next())<<(g.next()%64))
		case choice < 105:
			b = protowire.AppendTag(b, number, protowire.Fixed32Type)
			b = protowire.AppendFixed32(b, uint32(g.next()))
		case choice < 160 || depth == 0:
			b = protowire.AppendTag(b, number, protowire.BytesType)
			b = protowire.AppendBytes(b, bytes.Repeat([]byte{byte(g.next())}, g.next()%20))
		case choice < 180:
			b = append(b, field(number, g.message(depth-1))...)
		default:
			b = protowire.AppendTag(b, number, protowire.BytesType)
			b = protowire.AppendBytes(b, g.message(depth-1))
		}
	}
	return b
}

// compare checks what becomes of a request against what pdata makes of it.
func compare(t *testing.T, request []byte) {
	r := start(t, otlp.Config{})
	r.add(request)
	got := r.collect()
	refused := len(r.skipped) > 0

	var unmarshaler pmetric.ProtoUnmarshaler
	md, err := unmarshaler.UnmarshalMetrics(request)
	switch {
	case !refused && err != nil:
		t.Fatalf("taken, although it cannot be decoded: %v", err)
	case !refused:
		want := lines(md)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("collected\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	case err == nil:
		// Other parsers refuse more than pdata: text that is not UTF-8, groups, deep messages. What
		// pdata writes has no groups.
		plain := marshal(md)
		again := start(t, otlp.Config{})
		again.add(plain)
		if len(again.skipped) > 0 && len(plain) < 200 && !slices.ContainsFunc(plain, func(b byte) bool { return b >= 0x80 }) {
			t.Fatalf("refused %x: %v", plain, again.skipped)
		}
	}

	// Whatever it is, it harms nothing else, and totals take it or leave it.
	totals := start(t, otlp.Config{Cumulative: true})
	totals.add(delta("\x01 mine", 1, 2, 3), request, delta("\x01 mine", 2, 3, 4), request)
	if got := totals.collect(); !slices.ContainsFunc(got, func(l string) bool { return strings.Contains(l, "\x01 mine") }) {
		t.Fatalf("collected\n%s", strings.Join(got, "\n"))
	}
	totals.in.Commit()
	totals.add(request)
	totals.collect()
}
