package probe

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCasts(t *testing.T) {
	const n = 0xf0e1_d2c3_8495_a687
	signed := []struct {
		cast string
		want int64
	}{
		{"s8", -0x79},
		{"s16", -0x5979},
		{"s32", -0x7b6a5979},
		{"s64", -0xf1e2d3c7b6a5979},
		{"u8", 0x87},
		{"u16", 0xa687},
		{"u32", 0x8495a687},
	}
	yaml := ""
	for _, c := range signed {
		yaml += fmt.Sprintf("- metric: {name: value.%s, type: updowncounter}\n  value: {arg: 0, type: %s}\n", c.cast, c.cast) + onRaw
		yaml += fmt.Sprintf("- metric: {name: attribute.%s, type: counter}\n  attributes: {a: {arg: 0, type: %s}}\n", c.cast, c.cast) + onRaw
	}
	yaml += "- metric: {name: u64, type: gauge}\n  value: {arg: 0, type: u64}\n" + onRaw
	yaml += "- metric: {name: bool, type: counter}\n  attributes: {a: {arg: 0, type: bool}}\n" + onRaw
	f := start(t, yaml)
	run(t, "target", "raw", fmt.Sprint(uint64(n)), "raw", "0x100")
	p := only(t, f.collect())
	for _, c := range signed {
		second := map[string]int64{"s8": 0, "u8": 0}
		add, ok := second[c.cast]
		if !ok {
			add = 0x100
		}
		assert.Equal(t, c.want+add, p.UpDownCounters["value."+c.cast], c.cast)
		assert.EqualValues(t, 1, p.Counters[fmt.Sprintf("attribute.%s{a=%d}", c.cast, c.want)], c.cast)
	}
	assert.EqualValues(t, 0x100, p.Gauges["u64"])
	assert.EqualValues(t, 1, p.Counters["bool{a=true}"], "a byte of it")
	assert.EqualValues(t, 1, p.Counters["bool{a=false}"], "a byte of it")
}

const onText = "  uprobe: {binary: '${target}', symbol: text}\n"

func TestStrings(t *testing.T) {
	all := []struct {
		name           string
		length         int
		argument, want string
	}{
		{"plain", 32, "hello", "hello"},
		{"empty", 32, "", ""},
		{"as long as it may be", 5, "hello", "hello"},
		{"longer", 4, "hello", "hell"},
		{"of one byte", 1, "hello", "h"},
		{"of 31 bytes", 32, strings.Repeat("x", 31), strings.Repeat("x", 31)},
		{"of the greatest length", 128, strings.Repeat("x", 200), strings.Repeat("x", 128)},
		{"not UTF-8", 32, "a\xffb", "a\ufffdb"},
		{"UTF-8", 32, "größe", "größe"},
		{"cut within a character", 3, "grö", "gr\ufffd"},
	}
	yaml := "- metric: {name: default, type: counter}\n  attributes: {s: {arg: 0, type: string}}\n" + onText
	for _, length := range []int{1, 3, 4, 5, 32, 128} {
		for _, mode := range []string{modeAggregate, modeEvents} {
			yaml += fmt.Sprintf("- metric: {name: n%d.%s, type: counter}\n  attributes: {s: {arg: 0, type: string, length: %d}}\n  mode: %s\n",
				length, mode, length, mode) + onText
		}
	}
	f := start(t, yaml)
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			p := spawn(t, "target", "text", c.argument, "wait", "0")
			counters := of(f.collect(), p.pid).Counters
			assert.EqualValues(t, 1, counters[fmt.Sprintf("n%d.aggregate{s=%s}", c.length, c.want)], counters)
			assert.EqualValues(t, 1, counters[fmt.Sprintf("n%d.events{s=%s}", c.length, c.want)], counters)
			for key := range counters {
				assert.True(t, utf8.ValidString(key))
			}
			if c.length == defaultLength {
				assert.Contains(t, counters, "default{s="+c.want+"}")
			}
		})
	}
}

func TestHostStringsOfGoAreTakenByTheirLength(t *testing.T) {
	f := start(t, `
- metric: {name: n, type: counter}
  uprobe: {binary: '${goserver}', symbol: main.greet}
  attributes: {who: {arg: 0, type: string}, n: {arg: 2}}
  single_step: true
- metric: {name: cut, type: counter}
  uprobe: {binary: '${goserver-pie}', symbol: 'main.(*server).handle'}
  attributes: {path: {arg: 2, type: string, length: 3}}
  single_step: true
`)
	run(t, "goserver", "2")
	p := only(t, f.collect())
	assert.Equal(t, map[string]uint64{"n{n=0,who=gopher}": 1, "n{n=1,who=gopher,}": 1}, p.Counters)
	run(t, "goserver-pie", "2")
	for _, p := range f.collect().Processes {
		if len(p.Counters) == 1 {
			assert.Contains(t, p.Counters, "cut{path=/ca}")
		}
	}
}

func TestHostFourAttributesOfAllKinds(t *testing.T) {
	f := start(t, `
- metric: {name: n, type: counter}
  uprobe: {binary: '${target}', symbol: do_work}
  value: {arg: 2, type: u8}
  attributes: {z: {arg: 0, type: s32}, y: {arg: 1, type: string, length: 8}, x: {arg: 2, type: bool}, w: {return: true, type: s32}}
`)
	run(t, "target", "work", "3")
	require.Equal(t, map[string]uint64{
		"n{w=-2,x=false,y=even,z=-1}": 0, "n{w=-1,x=true,y=odd,z=0}": 1, "n{w=0,x=true,y=even,z=1}": 2,
	}, only(t, f.collect()).Counters)
}

func TestABadPointerIsAnUnknownAttribute(t *testing.T) {
	for _, mode := range []string{modeAggregate, modeEvents} {
		t.Run(mode, func(t *testing.T) {
			f := start(t, "- metric: {name: n, type: counter}\n  attributes: {s: {arg: 0, type: string}}\n  mode: "+mode+"\n"+onText)
			run(t, "target", "bad", "0", "bad", "8", "bad", "0xffff800000000000", "text", "good")
			require.Equal(t, map[string]uint64{"n{s=unknown}": 3, "n{s=good}": 1}, only(t, f.collect()).Counters)
			require.Equal(t, map[string]int64{"fault": 3}, f.tel.skipped)
		})
	}
}

func TestHostArgumentsThatThereAreNotAreRefused(t *testing.T) {
	for _, c := range []struct{ probe, says string }{
		{"uprobe: {binary: '${target}', symbol: raw}, value: arg6", "6"},
		{"uprobe: {binary: '${goserver}', symbol: main.plain}, value: arg9, single_step: true", "9"},
		{"usdt: {binary: '${target}', provider: app, name: operands}, value: arg7", "has no argument 7: it has 7"},
		{"usdt: {binary: '${target}', provider: app, name: operands}, value: arg6", "floating point"},
	} {
		said := refused(t, "- {metric: {name: n, type: counter}, "+c.probe+"}")
		assert.Contains(t, said, c.says)
		assert.Contains(t, said, "probes::0")
		assert.Contains(t, said, "value")
	}
}

func TestMemoryThatNobodyHasReadIsFetchedOnRequest(t *testing.T) {
	for fetch, want := range map[string]string{"false": "unknown", "true": "cold"} {
		t.Run(fetch, func(t *testing.T) {
			f := start(t, "- metric: {name: n, type: counter}\n  attributes: {s: {arg: 0, type: string}}\n  fetch: "+fetch+"\n"+onText)
			run(t, "target", "untouched", "1")
			require.Equal(t, map[string]uint64{"n{s=" + want + "}": 1}, only(t, f.collect()).Counters)
		})
	}
}
