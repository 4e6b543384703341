package binary

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// compiled is a program with what the binutils say of it.
type compiled struct {
	*File
	path string
	arm  bool
}

// compile runs a command line, with the output's name appended.
func compile(t testing.TB, command, source string) compiled {
	t.Helper()
	words := strings.Fields(command)
	if _, err := exec.LookPath(words[0]); err != nil {
		t.Skipf("%s is not there", words[0])
	}
	path := filepath.Join(t.TempDir(), "program")
	c := exec.Command(words[0], append(words[1:], "-o", path, source)...)
	if info, err := os.Stat(source); err == nil && info.IsDir() { // a Go program
		c = exec.Command(words[0], append(words[1:], "-o", path, ".")...)
		c.Dir = source
	}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return compiled{open(t, path), path, strings.HasPrefix(command, "aarch64")}
}

func open(t testing.TB, path string) *File {
	t.Helper()
	r, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	f, err := Open(r)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// tool runs one of the binutils on the program.
func (c compiled) tool(t testing.TB, name string, arguments ...string) string {
	t.Helper()
	if c.arm {
		name = "aarch64-linux-gnu-" + name
	}
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not there", name)
	}
	out, err := exec.Command(name, append(arguments, c.path)...).Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out)
}

// line is an instruction as objdump shows it.
type line struct {
	address  uint64
	mnemonic string
}

// disassembled is a function as objdump shows it.
type disassembled struct {
	offset uint64 // of its beginning in the file
	lines  []line
}

var (
	header      = regexp.MustCompile(`^([0-9a-f]+) <(.+)> \(File Offset: 0x([0-9a-f]+)\):$`)
	disassembly = regexp.MustCompile(`^\s*([0-9a-f]+):\t[0-9a-f ]+\t(.*)$`)
)

func (c compiled) disassemble(t testing.TB) map[string]disassembled {
	t.Helper()
	all, name := map[string]disassembled{}, ""
	for text := range strings.SplitSeq(c.tool(t, "objdump", "-dFw"), "\n") {
		if m := header.FindStringSubmatch(text); m != nil {
			name = m[2]
			all[name] = disassembled{offset: hex(t, m[3])}
		} else if m := disassembly.FindStringSubmatch(text); m != nil {
			d := all[name]
			d.lines = append(d.lines, line{hex(t, m[1]), strings.TrimSpace(m[2])})
			all[name] = d
		}
	}
	return all
}

// symbols are the addresses that nm shows by name.
func (c compiled) symbols(t testing.TB, arguments ...string) map[string][]uint64 {
	t.Helper()
	all := map[string][]uint64{}
	for text := range strings.SplitSeq(c.tool(t, "nm", arguments...), "\n") {
		if words := strings.SplitN(text, " ", 3); len(words) == 3 && words[0] != "" && strings.ContainsAny(words[1], "TtWwDdBbRrVvi") {
			all[words[2]] = append(all[words[2]], hex(t, words[0]))
		}
	}
	return all
}

// fileOffset is where the standard library's reading of the headers puts an address.
func (c compiled) fileOffset(t testing.TB, address uint64) uint64 {
	t.Helper()
	e, err := elf.Open(c.path)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, p := range e.Progs {
		if p.Type == elf.PT_LOAD && address >= p.Vaddr && address < p.Vaddr+p.Filesz {
			return address - p.Vaddr + p.Off
		}
	}
	t.Fatalf("%#x is not in the file", address)
	return 0
}

func writeSource(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source.c")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func hex(t testing.TB, text string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(text, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func wantError(t testing.TB, err error, says ...string) {
	t.Helper()
	for _, s := range says {
		if err == nil || !strings.Contains(err.Error(), s) {
			t.Errorf("error %v; want it to say %q", err, s)
		}
	}
}
