package c

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// variants of the program: each compiler, and each way to count.
func eachVariant(t *testing.T, test func(t *testing.T, program string)) {
	for _, c := range compilers {
		t.Run(c.name, func(t *testing.T) {
			test(t, c.compile(t, "testdata/exercise.c", "-lm"))
		})
	}
}

func TestValuesOfEveryKindArrive(t *testing.T) {
	eachVariant(t, func(t *testing.T, program string) {
		c := startWith(t, []string{
			"OTEL_SERVICE_NAME=exercise", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment=a%20b , service.name=loses,k=v",
		}, program, directory(t), "api")
		r := c.collect()
		if len(r.Processes) != 1 {
			t.Fatalf("%d processes", len(r.Processes))
		}
		p := r.Processes[0]
		if got := p.Counters["api.counter{b=true,d=0.5,i=-5,s=text}"]; got != 42 {
			t.Errorf("counter is %d", got)
		}
		if got := p.UpDownCounters["api.updowncounter"]; got != -7 {
			t.Errorf("updowncounter is %d", got)
		}
		if got, unset := p.Gauges["api.gauge"], len(p.Gauges); got != -3.25 || unset != 1 {
			t.Errorf("gauge is %v, %d are set", got, unset)
		}
		h := p.Histograms["api.histogram"]
		if h.Zero != 2 || h.Count != 6 || h.Sum != 1e300 {
			t.Errorf("histogram is %+v", h)
		}
		for bucket, want := range map[int]uint64{0: 1, 239: 1, 244: 1, 511: 1} {
			if h.Buckets[bucket] != want {
				t.Errorf("bucket %d has %d values", bucket, h.Buckets[bucket])
			}
		}
		if i := p.Instruments["api.counter{b=true,d=0.5,i=-5,s=text}"]; i.Unit != "{call}" || i.Description != "calls" {
			t.Errorf("instrument is %+v", i)
		}
		for key, want := range map[string]string{
			"service.name": "exercise", "deployment.environment": "a b", "k": "v",
			"process.executable.name": "program", "process.pid": strconv.Itoa(c.cmd.Process.Pid),
		} {
			if p.Resource[key] != want {
				t.Errorf("resource has %s=%q, want %q", key, p.Resource[key], want)
			}
		}
		c.finish()
	})
}

func TestThreadsLoseNothing(t *testing.T) {
	const threads, each = 8, 2_000_000
	eachVariant(t, func(t *testing.T, program string) {
		for _, env := range []string{"", "GLIBC_TUNABLES=glibc.pthread.rseq=0"} {
			c := startWith(t, []string{env}, program, directory(t), "threads", strconv.Itoa(threads), strconv.Itoa(each))
			p := c.collect().Processes[0]
			if got := p.Counters["threads.counter"]; got != threads*each {
				t.Errorf("%s: counter is %d of %d", env, got, threads*each)
			}
			h := p.Histograms["threads.histogram"]
			if h.Count != threads*each/16 || h.Sum != threads*each/32 {
				t.Errorf("%s: histogram has count %d, sum %v", env, h.Count, h.Sum)
			}
			c.finish()
		}
	})
}

func TestSignalHandlersMayCount(t *testing.T) {
	eachVariant(t, func(t *testing.T, program string) {
		c := start(t, program, directory(t), "signals", "20000000")
		if got := strconv.FormatUint(c.collect().Total("signals.counter"), 10); got != c.before[0] {
			t.Errorf("counted %s of %s", got, c.before[0])
		}
		c.finish()
	})
}

func TestForkedProcessesCountForThemselves(t *testing.T) {
	eachVariant(t, func(t *testing.T, program string) {
		dir := directory(t)
		c := start(t, program, dir, "forks")
		r := c.collect()
		// The parent, two children and their two children; the two that never count are not seen.
		if len(r.Processes) != 5 {
			t.Errorf("%d processes", len(r.Processes))
		}
		values := map[uint64]int{}
		for _, p := range r.Processes {
			values[p.Counters["forks.counter"]]++
		}
		if values[2] != 1 || values[10] != 2 || values[100] != 2 {
			t.Errorf("the counts of the processes are %v", values)
		}
		if got := len(r.Find("forks.gauge")); got != 1 {
			t.Errorf("%d processes have the gauge that only the parent set", got)
		}
		c.finish()
	})
}

func TestSignalHandlersMayFork(t *testing.T) {
	eachVariant(t, func(t *testing.T, program string) {
		for _, env := range []string{"", "GLIBC_TUNABLES=glibc.pthread.rseq=0"} {
			c := startWith(t, []string{env}, program, directory(t), "fork-signals", "100")
			for _, p := range c.collect().Processes {
				own := p.Resource["process.pid"] == strconv.Itoa(c.cmd.Process.Pid)
				if got := p.Counters["fork_signals.counter"]; own && got != 100*200000 {
					t.Errorf("%s: the process that was forked counted %d", env, got)
				}
			}
			c.finish()
		}
	})
}

func TestForkHandlersMayCountInTheChild(t *testing.T) {
	dir := directory(t)
	c := start(t, compilers[0].compile(t, "testdata/exercise.c", "-lm"), dir, "atfork")
	r := c.collect()
	if len(r.Processes) != 2 || r.Total("atfork.counter") != 20 {
		t.Errorf("%d processes counted %d", len(r.Processes), r.Total("atfork.counter"))
	}
	c.finish()
}

func TestSmallStacksSuffice(t *testing.T) {
	eachVariant(t, func(t *testing.T, program string) {
		c := start(t, program, directory(t), "stack")
		r := c.collect()
		if got := r.Total("stack.counter{stack=small}"); got != 2 {
			t.Errorf("counted %d of 2", got)
		}
		if got := r.Total("stack.counter{signal=10,stack=small}"); got != 1 {
			t.Errorf("recorded %d of 1", got)
		}
		c.finish()
	})
}

func TestIdleChildDoesNotKeepItsParentAlive(t *testing.T) {
	dir := directory(t)
	c := start(t, compilers[0].compile(t, "testdata/exercise.c", "-lm"), dir, "orphan")
	c.finish()
	r := collect(t, dir)
	if len(r.Processes) != 1 || r.Processes[0].Info.State != 1 {
		t.Errorf("the parent that ended is %+v", r.Processes)
	}
}

func TestForksWhileOtherThreadsCountAndMakeSeries(t *testing.T) {
	eachVariant(t, func(t *testing.T, program string) {
		const children = 100
		c := start(t, program, directory(t), "storm", strconv.Itoa(children))
		r := c.collect()
		if got := r.Total("storm.counter"); got != 2*children {
			t.Errorf("children counted %d of %d", got, 2*children)
		}
		for i := range children {
			key := "storm.series{n=" + strconv.Itoa(i) + "}"
			if r.Total(key) == 0 {
				t.Errorf("%s has no count", key)
			}
		}
		c.finish()
	})
}

func TestDaemonThatClosesEveryDescriptorIsStillRead(t *testing.T) {
	dir := directory(t)
	c := start(t, compilers[0].compile(t, "testdata/exercise.c", "-lm"), dir, "daemon")
	r := collect(t, dir)
	pid, err := strconv.Atoi(c.before[0])
	if err != nil {
		t.Fatal(err)
	}
	live := 0
	for _, p := range r.Processes {
		if p.Info.State == 0 {
			live++
			if p.Counters["daemon.counter"] != 2 || p.Counters["daemon.later"] != 1 || p.Resource["process.pid"] != c.before[0] {
				t.Errorf("the daemon is %+v", p)
			}
		}
	}
	if live != 1 || r.Total("daemon.counter") != 3 {
		t.Errorf("%d processes live, counted %d", live, r.Total("daemon.counter"))
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

func TestExecutableAndLibrariesAreOneProcess(t *testing.T) {
	lib := filepath.Join(t.TempDir(), "library")
	run(t, append(append([]string{"gcc", "-std=c11", "-O2", "-fPIC", "-shared"}, strict...), "testdata/library.c", "-o", lib+"1.so")...)
	run(t, append(append([]string{"g++", "-x", "c++", "-std=c++17", "-fPIC", "-shared"}, strict...), "testdata/library.cc", "-o", lib+"2.so")...)
	program := compilers[0].compile(t, "testdata/exercise.c", "-lm", "-Wl,--no-as-needed", lib+"1.so")
	for _, command := range []string{"libraries", "libraries-unloaded"} {
		t.Run(command, func(t *testing.T) {
			dir := directory(t)
			c := start(t, program, dir, command, lib+"1.so", lib+"2.so")
			r := c.collect()
			got := map[uint64]int{}
			for _, p := range r.Processes {
				got[p.Counters["library.counter"]]++
			}
			if len(r.Processes) != 2 || got[21] != 1 || got[1000] != 1 {
				t.Errorf("the processes counted %v", got)
			}
			c.finish()
			for _, p := range collect(t, dir).Processes {
				if p.Info.State == 0 {
					t.Errorf("process %s lives on after its end", p.Resource["process.pid"])
				}
			}
		})
	}
	t.Run("unloaded over and over", func(t *testing.T) {
		c := start(t, program, directory(t), "unload", "500", lib+"2.so")
		if got := c.collect().Total("library.counter"); got != 500 {
			t.Errorf("counted %d of 500", got)
		}
		c.finish()
	})
}

func TestMemoryOfAnOrdinarySegment(t *testing.T) {
	dir := directory(t)
	start(t, compilers[0].compile(t, "testdata/exercise.c", "-lm"), dir, "many", "100")
	entries, err := filepath.Glob(dir + "/[0-9]*")
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v %v", entries, err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(entries[0], &st); err != nil {
		t.Fatal(err)
	}
	t.Logf("100 counters: %d KiB", st.Blocks/2)
	if st.Blocks/2 > 64 {
		t.Errorf("100 counters take %d KiB", st.Blocks/2)
	}
}

func TestSeriesBeyondTheLimitFold(t *testing.T) {
	program := compilers[0].compile(t, "testdata/exercise.c", "-lm")
	t.Run("a million attribute sets", func(t *testing.T) {
		p := start(t, program, directory(t), "many", "1000000").collect().Processes[0]
		if got := p.Counters["many.counter{otel.metric.overflow=true}"]; got != 1000000-16384 {
			t.Errorf("overflow series has %d", got)
		}
		if got := len(p.Counters); got != 16385 {
			t.Errorf("%d series", got)
		}
	})
	t.Run("a hundred thousand instruments", func(t *testing.T) {
		p := start(t, program, directory(t), "names", "50000").collect().Processes[0]
		var counters, histograms uint64
		for _, v := range p.Counters {
			counters += v
		}
		for _, h := range p.Histograms {
			histograms += h.Count
		}
		if counters != 50000 || histograms != 50000 {
			t.Errorf("counted %d and %d of 50000", counters, histograms)
		}
		if p.Counters["hotpath.overflow.counter{otel.metric.overflow=true}"] == 0 {
			t.Error("nothing in the last overflow series")
		}
	})
}

func TestBadSeriesAreRefused(t *testing.T) {
	eachVariant(t, func(t *testing.T, program string) {
		c := start(t, program, directory(t), "bad")
		if !strings.Contains(c.status, "12 refused, the last: this name has another kind or unit already: bad.null") {
			t.Errorf("status is %q", c.status)
		}
		p := c.collect().Processes[0]
		if len(p.Counters) != 4 || p.Counters["bad.latin{v=caf\ufffd}"] != 1 || p.Counters["bad.null{n=}"] != 1 ||
			p.Counters["bad.cut{cut="+strings.Repeat("€", 341)+"}"] != 1 {
			t.Errorf("counters are %v", p.Counters)
		}
		c.finish()
	})
}

func TestClientsSurviveLimits(t *testing.T) {
	program := compilers[0].compile(t, "testdata/exercise.c", "-lm")
	for _, how := range []struct{ transport, limit, status string }{
		{"shm", "files", ": Too many open files; raise the limit (ulimit -n); and cannot make a memfd: Too many open files"},
		{"bpf", "files", "counting in private memory: cannot make a memfd: Too many open files"},
		{"shm", "fsize", "counting in private memory: the file size limit (ulimit -f)"},
		{"bpf", "fsize", "counting in private memory: the file size limit (ulimit -f)"},
		{"shm", "space", "counting in private memory: no address space"},
		{"bpf", "space", "counting in private memory: no address space"},
		{"shm", "mlockall", "publishing 1001 series in "},
		{"bpf", "mlockall", "publishing 1001 series as a memfd"},
	} {
		t.Run(how.limit+", "+how.transport, func(t *testing.T) {
			c := startWith(t, []string{"HOTPATH_TRANSPORT=" + how.transport}, program, directory(t), "limited", how.limit)
			if !strings.Contains(c.status, how.status) {
				t.Errorf("status is %q", c.status)
			}
			if how.limit == "mlockall" {
				var got uint64
				if how.transport == "shm" {
					got = c.collect().Total("limited.counter")
				} else {
					got = c.memfd().read().counters["limited.counter"]
				}
				if got != 1000 {
					t.Errorf("counted %d", got)
				}
				locked, err := os.ReadFile("/proc/" + strconv.Itoa(c.cmd.Process.Pid) + "/status")
				if err != nil {
					t.Fatal(err)
				}
				for line := range strings.Lines(string(locked)) {
					if kb, ok := strings.CutPrefix(line, "RssShmem:"); ok {
						if n, _ := strconv.Atoi(strings.Fields(kb)[0]); n > 1024 {
							t.Errorf("mlockall made %d KiB of the segment resident", n)
						}
					}
				}
			}
			c.finish()
		})
	}
}

func TestClientsSurviveABadEnvironment(t *testing.T) {
	program := compilers[0].compile(t, "testdata/exercise.c", "-lm")
	file := filepath.Join(directory(t), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(directory(t), "link")
	if err := os.Symlink(directory(t), link); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ env, status string }{
		"no directory":      {"HOTPATH_DIR=/dev/shm/none/none", "No such file or directory"},
		"not on tmpfs":      {"HOTPATH_DIR=/proc/none", "No such file or directory"},
		"file":              {"HOTPATH_DIR=" + file, "Not a directory"},
		"symbolic link":     {"HOTPATH_DIR=" + link, "cannot open"},
		"long path":         {"HOTPATH_DIR=/" + strings.Repeat("a", 300), "File name too long"},
		"trailing slash":    {"HOTPATH_DIR=" + filepath.Join(directory(t), "new") + "//", "publishing 2 series in /dev/shm/"},
		"off":               {"HOTPATH_TRANSPORT=off", "HOTPATH_TRANSPORT=off asks"},
		"unknown transport": {"HOTPATH_TRANSPORT=carrier-pigeon", "knows HOTPATH_TRANSPORT shm, bpf, user_events, io_uring and off only"},
		"bad resource":      {"OTEL_RESOURCE_ATTRIBUTES=a=b,nonsense", "1 refused, the last: OTEL_RESOURCE_ATTRIBUTES"},
	} {
		t.Run(name, func(t *testing.T) {
			client := startWith(t, []string{c.env}, program, directory(t), "threads", "2", "1000")
			if !strings.Contains(client.status, c.status) {
				t.Errorf("status is %q", client.status)
			}
			client.finish()
		})
	}
}

// The bound of every bucket, and its neighbours, fall where package segment says.
func TestBucketsAreThoseOfTheGoClient(t *testing.T) {
	var values []float64
	for i := range segment.HistogramBuckets + 1 {
		bound := math.Exp2(float64(i+segment.HistogramOffset) / 8)
		values = append(values, math.Nextafter(bound, 0), bound, math.Nextafter(bound, math.Inf(1)), bound*1.03)
	}
	var input strings.Builder
	for _, v := range values {
		input.WriteString(strconv.FormatFloat(v, 'x', -1, 64) + "\n")
	}
	eachVariant(t, func(t *testing.T, program string) {
		cmd := exec.Command(program, "buckets")
		cmd.Stdin = strings.NewReader(input.String())
		cmd.Env = append(os.Environ(), "HOTPATH_DIR="+directory(t))
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Fields(string(out))
		if len(got) != len(values) {
			t.Fatalf("%d buckets for %d values", len(got), len(values))
		}
		for i, v := range values {
			if want, _ := segment.BucketIndex(v); got[i] != strconv.Itoa(want) {
				t.Errorf("%v falls into bucket %s, not %d", v, got[i], want)
			}
		}
	})
}
