package c

import (
	"debug/elf"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// probe is a note as readelf tells it.
type probe struct {
	location, base, semaphore uint64
	arguments                 []string
}

var probeLines = regexp.MustCompile(`Provider: (\S+)\s+Name: (\S+)\s+Location: (\S+), Base: (\S+), Semaphore: (\S+)\s+Arguments: ?(.*)`)

// probes are those of a file, by name.
func probes(t *testing.T, file string) map[string][]probe {
	t.Helper()
	all := map[string][]probe{}
	for _, m := range probeLines.FindAllStringSubmatch(output(t, "readelf", "-nW", file), -1) {
		var numbers [3]uint64
		for i := range numbers {
			n, err := strconv.ParseUint(m[3+i], 0, 64)
			if err != nil {
				t.Fatal(err)
			}
			numbers[i] = n
		}
		if m[1] != "demo" {
			t.Errorf("the provider of %s is %s", m[2], m[1])
		}
		all[m[2]] = append(all[m[2]], probe{numbers[0], numbers[1], numbers[2], strings.Fields(m[6])})
	}
	return all
}

// usdtProgram compiles testdata/usdt.c twice, the second time as a file of its own, and links both.
func usdtProgram(t *testing.T, flags string) string {
	t.Helper()
	compile, link, _ := strings.Cut(flags, " / ")
	command := strings.Fields(compile)
	need(t, command[0])
	dir, err := os.MkdirTemp("", "usdt") // bpftrace reads = and + in a path as its own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	a, b, program := filepath.Join(dir, "a.o"), filepath.Join(dir, "b.o"), filepath.Join(dir, "program")
	command = append(append(command, strict...), "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wundef", "-c", "testdata/usdt.c", "-o")
	run(t, append(slices.Clone(command), a)...)
	run(t, append(slices.Clone(command), b, "-DSECOND_FILE")...)
	run(t, append([]string{command[0], a, b, "-o", program}, strings.Fields(link)...)...)
	return program
}

// Sizes of arguments, in C on x86-64.
var usdtSizes = map[string]string{
	"none": "", "constants": "-4 -4 -4 -8 -4 -4", "odd": "8 -4", "inlined": "-4", "second": "8",
	"types": "-1 1 -2 2 -4 4 -8 8 8 8 -4 -4", "wide": "-8 -4 -2 -1 8 4 2 1 8 8 -8 -8",
	"eleven": "-8 -4 -2 -1 8 4 2 1 8 -8 -8", "ten": "-8 -4 -2 -1 8 4 2 1 -8 -8", "nine": "-8 -4 -2 -1 8 4 2 1 -8", "eight": "-8 -4 -2 -1 8 4 2 1",
	"seven": "-8 -4 -2 -1 8 4 2", "six": "-8 -4 -2 -1 8 4", "five": "-8 -4 -2 -1 8", "four": "-8 -4 -2 -1", "three": "8 -1 -4",
}

func TestProbesAreNotesThatToolsRead(t *testing.T) {
	for _, flags := range []string{
		"gcc -std=c11 -O0", "gcc -std=c11 -O2 -fPIC", "gcc -std=c11 -O2 -fno-pie / -no-pie", "gcc -std=c11 -O2 -fPIC / -shared", "gcc -std=c11 -O2 -flto / -flto -O2",
		"gcc -std=c11 -O2 -ffunction-sections / -Wl,--gc-sections",
		"gcc -std=gnu17 -O0 -fsanitize=address,undefined -fno-omit-frame-pointer / -fsanitize=address,undefined",
		"clang -std=c11 -O0", "clang -std=c11 -O2 -fno-pie / -no-pie", "clang -std=c11 -O2 -fPIC / -shared",
		"g++ -x c++ -std=c++17 -O0", "g++ -x c++ -std=c++17 -O2 -fPIC", "g++ -x c++ -std=c++20 -O3", "clang++ -x c++ -std=c++17 -O0", "clang++ -x c++ -std=c++17 -O2",
		"aarch64-linux-gnu-gcc -std=c11 -O0", "aarch64-linux-gnu-gcc -std=c11 -O2 -fPIC",
	} {
		t.Run(flags, func(t *testing.T) {
			program := usdtProgram(t, flags)
			arm, cxx := strings.HasPrefix(flags, "aarch64"), strings.Contains(flags, "c++")
			nop, operand := "90", regexp.MustCompile(`^(-?[1248])@(\$-?\d+|%r[a-z0-9]+)$`)
			if arm {
				nop, operand = "1f2003d5", regexp.MustCompile(`^(-?[1248])@(-?\d+|x\d+)$`)
			}
			f, err := elf.Open(program)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			base, text := f.Section(".stapsdt.base"), f.Section(".text")
			code, err := text.Data()
			if err != nil || base == nil || base.Size != 1 {
				t.Fatalf("base %+v, %v", base, err)
			}
			all, seen := probes(t, program), map[uint64]bool{}
			for name, sites := range all {
				for _, p := range sites {
					at := p.location - text.Addr
					if at >= text.Size || hex.EncodeToString(code[at:][:len(nop)/2]) != nop || seen[p.location] {
						t.Errorf("%s is at %#x, where is no nop of its own", name, p.location)
						continue
					}
					seen[p.location] = true
					if p.base != base.Addr || p.semaphore != 0 {
						t.Errorf("%s has base %#x of %#x, semaphore %#x", name, p.base, base.Addr, p.semaphore)
					}
					var sizes []string
					for _, a := range p.arguments {
						m := operand.FindStringSubmatch(a)
						if m == nil {
							t.Fatalf("%s has the argument %q", name, a)
						}
						sizes = append(sizes, m[1])
					}
					want, ok := usdtSizes[name]
					switch {
					case arm && name == "three":
						want = "8 1 -4" // char has no sign there
					case cxx && name == "constants":
						want = "-4 -4 -1 -8 -4 1"
					case cxx && name == "types":
						want = "-1 1 -2 2 -4 4 -8 8 8 8 -4 1"
					case cxx && name == "truth":
						want, ok = "1 1", true
					case cxx && name == "generic":
						want, ok = strings.Join(sizes, " "), true
					}
					if got := strings.Join(sizes, " "); got != want || !ok {
						t.Errorf("%s has arguments of the sizes %s, not %s", name, got, want)
					}
				}
			}
			for name := range usdtSizes {
				if len(all[name]) == 0 {
					t.Errorf("%s has no note", name)
				}
			}
			if got := strings.Join(all["constants"][0].arguments, " ")[:12]; got != "-4@$7 -4@$-7" && !arm {
				t.Errorf("constants begin with %s", got)
			}
			var generic []string
			for _, p := range all["generic"] {
				size, _, _ := strings.Cut(p.arguments[0], "@")
				generic = append(generic, size)
			}
			slices.Sort(generic)
			if cxx && strings.Contains(flags, "-O0") && strings.Join(generic, " ") != "1 8 8 8" { // not inlined: one for each instance
				t.Errorf("the template's arguments have the sizes %v", generic)
			}
			if !arm && !strings.Contains(flags, "shared") {
				run(t, program, "3")
			}
		})
	}
}

func TestProbesAreCountedByBpftrace(t *testing.T) {
	need(t, "bpftrace")
	if os.Getuid() != 0 {
		t.Skip("bpftrace needs root")
	}
	if _, err := os.Stat("/sys/bus/event_source/devices/uprobe/type"); err != nil {
		t.Skip("bpftrace needs uprobes: ", err)
	}
	const times = 1000
	for _, flags := range []string{"gcc -std=c11 -O0", "gcc -std=c11 -O2", "gcc -std=c11 -O2 -fno-pie / -no-pie", "clang -std=c11 -O2", "g++ -x c++ -std=c++17 -O2"} {
		t.Run(flags, func(t *testing.T) {
			program := usdtProgram(t, flags)
			listed := strings.Fields(output(t, "bpftrace", "-l", "usdt:"+program+":*"))
			if len(listed) < len(usdtSizes) || !slices.Contains(listed, "usdt:"+program+":demo:types") {
				t.Errorf("bpftrace lists %v", listed)
			}
			script := ""
			for name, action := range map[string]string{
				"none": "@none = count();", "inlined": "@inlined = count(); @inlined_sum = sum(arg0);", "odd": "@odd = count(); @odd_sum = sum(arg0); @global = max(arg1);",
				"second": "@second_sum = sum(arg0);",
				"types":  `printf("types %d %d %d %d %d %ld\n", arg0, arg1, arg2, arg3, arg4, arg5);`,
				"three":  `printf("three %d %c %d\n", arg0, arg1, arg2);`,
				"wide":   `printf("wide %ld %d %d %d %ld %d\n", arg0, arg1, arg2, arg3, arg4, arg5);`,
			} {
				script += fmt.Sprintf("usdt:%s:demo:%s { %s } ", program, name, action)
			}
			out := output(t, "bpftrace", "-e", script, "-c", program+" "+strconv.Itoa(times))
			sum := times * (times - 1) / 2
			for _, line := range []string{
				fmt.Sprintf("@none: %d", times), fmt.Sprintf("@inlined: %d", times/2+times), fmt.Sprintf("@inlined_sum: %d", sum+sum/2-times/4),
				fmt.Sprintf("@odd: %d", times/2), fmt.Sprintf("@odd_sum: %d", sum/2+times/4), "@global: 41", fmt.Sprintf("@second_sum: %d", sum),
			} {
				if !strings.Contains(out, line+"\n") {
					t.Errorf("bpftrace does not say %s", line)
				}
			}
			for _, line := range []string{"types -1 255 -2 65534 -3 4294967293\n", "three 512 / 5\n", "wide -1 -2 -3 -4 1 2\n"} {
				if got := strings.Count(out, line); got != times {
					t.Errorf("bpftrace says %s%d times of %d", line, got, times)
				}
			}
			if t.Failed() {
				t.Logf("%.2000s", out)
			}
		})
	}
}
