package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The last line on the screen says which probe is wrong, and what would be right.
func TestWrongProbeEndsTheCollectorWithItsReason(t *testing.T) {
	inC, inGo := cProgram(t, "probed"), goApp().use(t)
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n# A wrapper, which is not what runs.\nexec /usr/local/bin/app \"$@\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lastRegister := map[string]string{"amd64": "5", "arm64": "7"}[runtime.GOARCH]
	const counter = "name: calls, type: counter"
	tracepoint := func(binary, provider, name string, more ...string) string {
		keys := append([]string{"metric: {" + counter + "}", fmt.Sprintf("usdt: {binary: %q, provider: %s, name: %s}", binary, provider, name)}, more...)
		return "{" + strings.Join(keys, ", ") + "}"
	}
	right := onFunction(counter, inC, "work")
	for name, c := range map[string]struct {
		probes []string
		line   string
	}{
		"missing symbol": {
			[]string{onFunction(counter, inC, "naps")},
			"probes::0: binary " + inC + ": find naps: no such function; names like it: nap",
		},
		"second probe": {
			[]string{right, onFunction(counter, inC, "works")},
			"probes::1: binary " + inC + ": find works: no such function; names like it: work",
		},
		"data": {
			[]string{onFunction(counter, inC, "amount")},
			"probes::0: binary " + inC + ": find amount: it is data, not a function",
		},
		"missing argument": {
			[]string{onFunction(counter, inC, "work", "value: arg9")},
			"probes::0: binary " + inC + ": function work: value: argument 9 is not in a register: 0 to " + lastRegister + " are",
		},
		"missing name": {
			[]string{tracepoint(inC, "app", "requests")},
			"probes::0: binary " + inC + ": find tracepoint app:requests: no such name; others of this provider: request",
		},
		"missing provider": {
			[]string{tracepoint(inC, "apps", "request")},
			"probes::0: binary " + inC + ": find tracepoint apps:request: no such provider; others in the file: app",
		},
		"missing argument of a tracepoint": {
			[]string{tracepoint(inC, "app", "request", "value: arg2")},
			"probes::0: binary " + inC + ": tracepoint app:request: value: has no argument 2: it has 2",
		},
		"return of Go": {
			[]string{onFunction(counter, inGo, "main.(*worker).handle", "value: return")},
			"probes::0: binary " + inGo + ": main.(*worker).handle is a function of Go's, which moves its stacks: a return probe would make the program crash",
		},
		"script": {
			[]string{onFunction(counter, script, "work")},
			"probes::0: binary " + script + ": read header: not an ELF file",
		},
	} {
		t.Run(name, func(t *testing.T) {
			collector := runCollector(t, settings{receiver: probing(c.probes), endpoint: "http://127.0.0.1:9/"}.yaml())
			if code := collector.wait(30 * time.Second); code == 0 {
				t.Error("the Collector ended with success")
			}
			lines := strings.Split(strings.TrimSpace(collector.log.String()), "\n")
			want := `Error: cannot start pipelines: failed to start "hotpath" receiver: start source bpf: ` + c.line
			if last := lines[len(lines)-1]; last != want {
				t.Errorf("the last line is\n%s\nand not\n%s", last, want)
			}
		})
	}
}

// Of two optional probes the wrong one is said to be, once, and the right one works.
func TestOptionalProbeThatIsWrongHarmsNoOther(t *testing.T) {
	b := startBackend(t, nil)
	program := cProgram(t, "probed")
	receiver := strings.Replace(probing([]string{
		onFunction("name: wrong, type: counter", program, "works"),
		onFunction("name: app.work, type: counter", program, "work"),
	}), "segments: false", "segments: false, optional: true", 1)
	collector := startCollector(t, settings{receiver: receiver, endpoint: b.endpoint()}.yaml())
	c := startThrough(t, uncounted, program)
	c.do("work", 42, "reading")
	b.await(20*time.Second, "count of the right probe", both(from(c.pid()), named("app.work")), counted(42))
	b.rounds(120) // it looks for files again after 5 s
	for _, warning := range []string{"\tCannot attach a probe\t", "\tCannot collect from a source"} {
		if n := strings.Count(collector.log.String(), warning); n != 1 {
			t.Errorf("%d times %q", n, warning)
		}
	}
	const reason = "find works: no such function; names like it: work"
	if !strings.Contains(collector.log.String(), reason) {
		t.Errorf("the warning is not %q", reason)
	}
}

// A program that is installed later is probed as soon as it is there, and so is one that replaces it. Until then a line says that it is missing.
func TestProgramThatAppearsLaterIsProbed(t *testing.T) {
	b := startBackend(t, nil)
	folder := t.TempDir()
	path := filepath.Join(folder, "later")
	collector := startCollector(t, settings{receiver: probing([]string{
		onFunction("name: app.work, type: counter", path, "work"),
		onFunction("name: any.work, type: counter", filepath.Join(folder, "l*r"), "work"),
	}), endpoint: b.endpoint()}.yaml())
	for _, binary := range []string{path, filepath.Join(folder, "l*r")} {
		if said := missingFile(collector, binary); said != 1 {
			t.Errorf("%d lines say that there is no %s", said, binary)
		}
	}
	for range 2 {
		if err := install(cProgram(t, "probed"), path); err != nil {
			t.Fatal(err)
		}
		c := startThrough(t, uncounted, path)
		for _, name := range []string{"app.work", "any.work"} {
			eventually(t, 30*time.Second, name, func() bool {
				c.do("work", 1, "reading")
				_, ok := b.last(both(from(c.pid()), named(name)))
				return ok
			})
		}
	}
}

func missingFile(c *collector, binary string) (lines int) {
	for line := range strings.Lines(c.log.String()) {
		if strings.Contains(line, "\tThere is no file yet for a probe\t") && strings.Contains(line, fmt.Sprintf(`"binary": %q`, binary)) {
			lines++
		}
	}
	return lines
}
