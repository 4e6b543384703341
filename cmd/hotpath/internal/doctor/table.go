package doctor

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Columns of the table.
const (
	width   = 80
	indent  = 20 // "  user_events  no   "
	details = 4  // below a key of the configuration
)

const noColour = "NO_COLOR" //nolint:misspell // no-color.org

// table is what people read.
type table struct {
	out    io.Writer
	colour bool
	failed error
}

func newTable(out io.Writer) *table {
	f, isFile := out.(*os.File)
	if isFile {
		_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		isFile = err == nil
	}
	return &table{out: out, colour: isFile && os.Getenv(noColour) == "" && os.Getenv("TERM") != "dumb"}
}

// Colours of terminals.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
	dim    = "2"
)

func (t *table) in(colour, text string) string {
	if !t.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (t *table) line(format string, args ...any) {
	if _, err := fmt.Fprintf(t.out, format+"\n", args...); err != nil {
		t.failed = err
	}
}

func (t *table) print(r *Report) error {
	t.wrapped(0, "", r.Machine.String())
	t.section("Sources", "what a Collector run by this user can read")
	for _, name := range names {
		v := r.Sources[name]
		t.verdict(name, v)
		if v.Probes == nil {
			continue
		}
		probes := *v.Probes
		if !v.Available && !probes.Available && probes.Fix == v.Fix && v.Fix != "" {
			probes = Verdict{Reason: "for want of the same"}
		}
		t.verdict("  probes", probes)
	}
	t.section("Clients", "what an application run by this user can count with")
	for _, name := range names {
		t.verdict(label(name), r.Clients[name])
	}
	if len(r.Config) > 0 {
		t.section("Configuration", "what it asks for")
		for _, a := range r.Config {
			t.asked(a, r.Sources[a.Source])
		}
	}
	if len(r.Notes) > 0 {
		t.line("")
		for _, n := range r.Notes {
			t.note(0, n)
		}
	}
	return t.failed
}

// label is what a transport is called.
func label(name string) string {
	if name == bpfName {
		return "bpf (memfd)"
	}
	return name
}

func (t *table) section(title, what string) {
	t.line("\n%s  %s", t.in(bold, title), t.in(dim, what))
}

func (t *table) verdict(name string, v Verdict) {
	word := t.in(green, "yes")
	if !v.Available {
		word = t.in(red, "no") + " "
	}
	t.wrapped(indent, fmt.Sprintf("  %-12s %s  ", name, word), v.Reason)
	t.rest(indent, v)
}

// rest is what belongs to a verdict, below it.
func (t *table) rest(at int, v Verdict) {
	if v.InUse != "" {
		t.wrapped(at, "", "In use: "+v.InUse)
	}
	if v.Fix != "" {
		t.fix(at, v.Fix)
	}
	for _, n := range v.Notes {
		t.note(at, n)
	}
}

// asked is about a source that was shown before, as it is by default.
func (t *table) asked(a Asked, shown Verdict) {
	word := t.in(green, "yes")
	switch {
	case !a.Available && (a.Optional || a.Unused):
		word = t.in(yellow, "no, but it is optional")
		if a.Unused {
			word = t.in(yellow, "no, but in no pipeline")
		}
	case !a.Available:
		word = t.in(red, "no")
	}
	if a.Available == shown.Available && a.Reason == shown.Reason {
		t.line("  %s: %s (as above)", a.Key, word)
		return
	}
	t.line("  %s: %s", a.Key, word)
	t.wrapped(details, "", a.Reason)
	t.rest(details, a.Verdict)
}

func (t *table) note(at int, n Note) {
	t.wrapped(at, "", n.Text)
	if n.Fix != "" {
		t.fix(at, n.Fix)
	}
}

// fix is never wrapped: it is to be copied.
func (t *table) fix(at int, text string) {
	t.line("%s%s", strings.Repeat(" ", at)+t.in(dim, "-> "), t.in(bold, text))
}

// wrapped prints text behind what it begins with, which takes the room up to a column.
func (t *table) wrapped(at int, begin, text string) {
	text = strings.Join(strings.Fields(text), " ")
	margin := strings.Repeat(" ", at)
	line, used := margin, at
	if begin != "" {
		line = begin
	}
	empty := true
	for _, word := range strings.Fields(text) {
		if !empty && used+1+len(word) > width {
			t.line("%s", line)
			line, used, empty = margin, at, true
		}
		if !empty {
			line, used = line+" ", used+1
		}
		line, used, empty = line+word, used+len(word), false
	}
	t.line("%s", strings.TrimRight(line, " "))
}

// String is the machine in a line or two.
func (m *Machine) String() string {
	who := "root"
	if m.UID != 0 {
		who = fmt.Sprintf("user %d", m.UID)
	}
	switch {
	case m.UID != 0 && len(m.Capabilities) > 0:
		who += " with " + strings.Join(m.Capabilities, ", ")
	case m.UID == 0 && len(m.Capabilities) == 0:
		who += " without capabilities"
	}
	where := "on the host"
	if m.Container != "" {
		where = "in a container (" + m.Container + ")"
	}
	if m.Seccomp {
		where += ", under a seccomp filter"
	}
	return fmt.Sprintf("Linux %s %s, %s, %s.", m.Kernel, m.Arch, who, where)
}
