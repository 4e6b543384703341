package c

import (
	"strings"
	"testing"
)

// twoFiles compiles a source twice, the second time with SECOND_FILE defined and flags of its own, and links both.
func twoFiles(t *testing.T, source string, first, second []string) string {
	t.Helper()
	a := build(t, append(append(append([]string{}, first...), strict...), "-c", source))
	b := build(t, append(append(append([]string{}, second...), strict...), "-DSECOND_FILE", "-c", source))
	return build(t, []string{first[0], a, b})
}

func TestFunctionsThatTheLinkerMergesMayCount(t *testing.T) {
	for _, flags := range []string{"g++ -std=c++17 -O2", "g++ -std=c++17 -O0", "g++ -std=c++17 -O2 -ffunction-sections", "clang++ -std=c++17 -O2"} {
		t.Run(flags, func(t *testing.T) {
			command := strings.Fields(flags)
			c := start(t, twoFiles(t, "testdata/polymorph.cc", command, command), directory(t), "")
			if got := c.collect().Total("polymorph.counter"); got != 114 {
				t.Errorf("counted %d of 114", got)
			}
		})
	}
}

func TestFilesCompiledInDifferentWaysMayCountTogether(t *testing.T) {
	kinds := map[string][]string{
		"rseq":      {"gcc", "-std=c11", "-O2", "-fPIE"},
		"library":   {"gcc", "-std=c11", "-O2", "-fPIC"},
		"no rseq":   {"gcc", "-std=c11", "-O2", "-DHOTPATH_NO_RSEQ"},
		"clang, O0": {"clang", "-std=c11", "-O0", "-fPIE"},
	}
	for a, first := range kinds {
		for b, second := range kinds {
			t.Run(a+" and "+b, func(t *testing.T) {
				c := start(t, twoFiles(t, "testdata/mixed.c", first, second), directory(t), "")
				p := c.collect().Processes[0]
				if got, h := p.Counters["mixed.counter"], p.Histograms["mixed.histogram"]; got != 800000 || h.Count != 8 || h.Sum != 8 {
					t.Errorf("counted %d of 800000, %d and %v of 8", got, h.Count, h.Sum)
				}
			})
		}
	}
}

func TestFastMathChangesNothing(t *testing.T) {
	fast := compiler{"fast", []string{"gcc", "-std=c11", "-O3", "-ffast-math"}}
	h := start(t, fast.compile(t, "testdata/exercise.c", "-lm"), directory(t), "api").collect().Processes[0].Histograms["api.histogram"]
	if h.Zero != 2 || h.Count != 6 {
		t.Errorf("histogram has %d zeros of %d values", h.Zero, h.Count)
	}
}
