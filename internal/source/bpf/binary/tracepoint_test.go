package binary

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"regexp"
	"strings"
	"testing"
)

// noted is a tracepoint as readelf shows it.
type noted struct {
	name, arguments    string
	address, semaphore uint64
}

var notes = regexp.MustCompile(`Provider: demo\s+Name: (\S+)\s+Location: 0x(\S+), Base: 0x\S+, Semaphore: 0x(\S+)\s+Arguments: ?(.*)`)

func (c compiled) noted(t testing.TB) map[string][]noted {
	t.Helper()
	all := map[string][]noted{}
	for _, m := range notes.FindAllStringSubmatch(c.tool(t, "readelf", "-nW"), -1) {
		all[m[1]] = append(all[m[1]], noted{m[1], m[4], hex(t, m[2]), hex(t, m[3])})
	}
	if len(all) == 0 {
		t.Fatal("readelf shows no tracepoints")
	}
	return all
}

func TestTracepointsOfTheHeaderAreThoseThatReadelfShows(t *testing.T) {
	const include = " -I../../../../client/c "
	for _, command := range []string{
		"gcc -O0", "gcc -O2", "gcc -O2 -fno-pie -no-pie", "gcc -O2 -static", "gcc -O2 -fPIC -shared", "clang -O2", "g++ -x c++ -O2", "aarch64-linux-gnu-gcc -O2",
	} {
		t.Run(command, func(t *testing.T) {
			if strings.Contains(command, "shared") {
				command += " -Wl,--unresolved-symbols=ignore-all"
			}
			// One file of two: the other half is given as a function that does nothing.
			c := compile(t, command+include+"-Wl,--defsym=second_file=main", "../../../../client/c/testdata/usdt.c")
			for name, want := range c.noted(t) {
				got, err := c.Tracepoints("demo", name)
				if err != nil || len(got) != len(want) {
					t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
					continue
				}
				for i, w := range want {
					g := got[i]
					if g.Offset != c.fileOffset(t, w.address) || g.Semaphore != 0 || g.Stepped != "" || g.Symbol != "demo:"+name || !c.arm && g.Nop != 1 {
						t.Errorf("%s: %+v, want %+v", name, g, w)
					}
					compareArguments(t, g.Arguments, w.arguments)
				}
			}
		})
	}
}

// compareArguments reads the little that the header writes, in another way.
func compareArguments(t *testing.T, got []Operand, text string) {
	t.Helper()
	want := strings.Fields(text)
	if len(got) != len(want) {
		t.Errorf("%d operands of %q", len(got), text)
		return
	}
	for i, o := range got {
		size, value, _ := strings.Cut(want[i], "@")
		if o.Signed != (size[0] == '-') || strings.TrimLeft(size, "-") != string('0'+o.Size) {
			t.Errorf("%s: %+v", want[i], o)
		}
		switch {
		case value[0] == '%' || value[0] == 'x':
			if o.Kind != Register || !strings.Contains(registerNames[value], string(rune('A'+o.Register))) {
				t.Errorf("%s: %+v", want[i], o)
			}
		case o.Kind != Constant:
			t.Errorf("%s: %+v", want[i], o)
		}
	}
}

// registerNames have the word of each register as a letter, A for the first.
var registerNames = map[string]string{
	"%r15": "A", "%r14": "B", "%r13": "C", "%r12": "D", "%rbp": "E", "%rbx": "F", "%r11": "G", "%r10": "H", "%r9": "I", "%r8": "J",
	"%rax": "K", "%rcx": "L", "%rdx": "M", "%rsi": "N", "%rdi": "O", "%rsp": "T",
	"x0": "A", "x1": "B", "x2": "C", "x3": "D", "x4": "E", "x5": "F", "x6": "G", "x7": "H", "x8": "I", "x9": "J", "x10": "K", "x11": "L", "x12": "M", "x13": "N",
	"x14": "O", "x15": "P", "x16": "Q", "x17": "R", "x18": "S", "x19": "T", "x20": "U", "x21": "V", "x22": "W", "x23": "X", "x24": "Y", "x25": "Z",
}

func TestTracepointsOfSystemtapsHeader(t *testing.T) {
	for _, command := range []string{"gcc -O2", "gcc -O2 -fno-pie -no-pie", "clang -O2"} {
		t.Run(command, func(t *testing.T) {
			c := compile(t, command, "testdata/probes.c")
			shown, symbols := c.noted(t), c.symbols(t)
			guarded, err := c.Tracepoints("demo", "guarded")
			if err != nil || len(guarded) != 1 || shown["guarded"][0].semaphore == 0 ||
				guarded[0].Semaphore != c.fileOffset(t, shown["guarded"][0].semaphore) || guarded[0].Offset != c.fileOffset(t, shown["guarded"][0].address) {
				t.Errorf("%+v, %v; want %+v", guarded, err, shown["guarded"])
			}
			several, err := c.Tracepoints("demo", "several")
			if err != nil || len(several) != 2 || several[0].Arguments[0].Constant != 1 || several[1].Arguments[0].Constant != 2 {
				t.Errorf("%+v, %v", several, err)
			}
			floating, err := c.Tracepoints("demo", "floating")
			if err != nil || len(floating) != 1 || floating[0].Arguments[0].Kind != Unknown || !strings.HasPrefix(floating[0].Arguments[0].Text, "8f@%xmm") ||
				floating[0].Arguments[1] != (Operand{Kind: Constant, Constant: 7, Size: 4, Signed: true}) {
				t.Errorf("%+v, %v", floating, err)
			}
			beyond, err := c.Tracepoints("demo", "beyond")
			if err != nil || len(beyond) != 1 {
				t.Fatalf("%+v, %v", beyond, err)
			}
			at, a := int64(shown["beyond"][0].address), beyond[0].Arguments
			if a[0] != (Operand{Kind: Memory, Register: ip, Constant: int64(symbols["global"][0]) + 4 - at, Size: 4, Signed: true}) ||
				a[1] != (Operand{Kind: Memory, Register: ip, Constant: int64(symbols["table"][0]) - 8 - at, Size: 8}) ||
				a[2] != (Operand{Text: "4@nowhere(%rip)"}) {
				t.Errorf("%+v", a)
			}
			_, err = c.Tracepoints("demo", "guard")
			wantError(t, err, "find tracepoint demo:guard: no such name; others of this provider: ")
			_, err = c.Tracepoints("dem", "guarded")
			wantError(t, err, "no such provider; others in the file: demo")
		})
	}
	c := compile(t, "gcc", "testdata/functions.c")
	_, err := c.Tracepoints("demo", "guarded")
	wantError(t, err, "the file has no tracepoints")
}

// edited is a copy of a program in which 8 bytes at an offset have another value.
func (c compiled) edited(t *testing.T, offset, value uint64) *File {
	t.Helper()
	image, err := os.ReadFile(c.path)
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint64(image[offset:], value)
	f, err := Open(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTracepointsMoveWithTheirBase(t *testing.T) {
	c := compile(t, "gcc -O2", "testdata/probes.c")
	want, err := c.Tracepoints("demo", "guarded")
	if err != nil {
		t.Fatal(err)
	}
	e, err := elf.Open(c.path)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	notes, err := e.Section(".note.stapsdt").Data()
	if err != nil {
		t.Fatal(err)
	}
	// As prelink leaves it: the section's address is another one than the note tells.
	at := e.Section(".note.stapsdt").Offset + 12 + 8 + 8
	base := binary.LittleEndian.Uint64(notes[12+8+8:])
	got, err := c.edited(t, at, base-8).Tracepoints("demo", "guarded")
	if err != nil || got[0].Offset != want[0].Offset+8 || got[0].Semaphore != want[0].Semaphore+8 {
		t.Errorf("%+v, %v; want 8 bytes behind %+v", got, err, want)
	}
	_, err = c.edited(t, at-8, 1).Tracepoints("demo", "guarded")
	wantError(t, err, "there is no code at 0x1")
	_, err = c.edited(t, at+8, 0x1000).Tracepoints("demo", "guarded")
	wantError(t, err, "its semaphore at 0x1000 is not in the file's data")
}

func TestTracepointsOfLibrariesOfTheSystem(t *testing.T) {
	found := 0
	for _, path := range []string{"/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", "/usr/bin/python3"} {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		c := compiled{File: open(t, path), path: path}
		for _, m := range regexp.MustCompile(`Provider: (\S+)\s+Name: (\S+)\s+Location: 0x(\S+), Base: 0x\S+, Semaphore: 0x(\S+)\s+Arguments: ?(.*)`).
			FindAllStringSubmatch(c.tool(t, "readelf", "-nW"), -1) {
			found++
			got, err := c.Tracepoints(m[1], m[2])
			if err != nil {
				t.Errorf("%s:%s: %v", m[1], m[2], err)
				continue
			}
			is := false
			for _, g := range got {
				is = is || g.Offset == c.fileOffset(t, hex(t, m[3])) && len(g.Arguments) == len(split(m[5])) &&
					(hex(t, m[4]) == 0 || g.Semaphore == c.fileOffset(t, hex(t, m[4])))
				for _, a := range g.Arguments {
					if a.Kind == Unknown {
						t.Errorf("%s:%s: %+v", m[1], m[2], a)
					}
				}
			}
			if !is {
				t.Errorf("%s:%s: %+v, want %q", m[1], m[2], got, m[3:])
			}
		}
	}
	if found == 0 {
		t.Fatal("no library with tracepoints is there")
	}
}
