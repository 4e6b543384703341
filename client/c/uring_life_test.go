package c

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hotpath-metrics/hotpath/client/go/uring"
)

func TestUringTellsACollectorThatComesLate(t *testing.T) {
	socket := uringSocket(t)
	p := startUring(t, socket, nil, uringProgram(t))
	before := time.Now()
	p.do("series late 100", "set late.gauge 3", "count late.gone 500")
	if took := time.Since(before); took > 200*time.Millisecond {
		t.Errorf("without a collector, counting took %v", took)
	}
	if want := "until a Collector answers at " + socket + ": Connection refused; is a Collector with the source io_uring running?"; !strings.Contains(p.status, want) {
		t.Errorf("status is %q", p.status)
	}
	k := takeAt(t, socket, 16)
	time.Sleep(time.Second)
	p.do("count late.gone 1", "flush")
	if !strings.Contains(p.status, "telling 112 series to the Collector") {
		t.Errorf("status is %q", p.status)
	}
	k.until(p.cmd.Process.Pid, func(s *contents) bool {
		return s.counters["late.gone"] == 501 && s.counters["late{n=99}"] == 100 && s.gauges["late.gauge"] == 3 && s.histograms["histograms{n=90}"].count == 1
	})
	m := k.of(p.cmd.Process.Pid)
	p.finish()
	k.drained(m)
	if !maps.Equal(m.complete, m.words) {
		t.Errorf("it is complete with %d words of %d", len(m.complete), len(m.words))
	}
}

// A collector that comes after the last count is told at exit, though the client tries once a second only.
func TestUringTellsACollectorThatComesBeforeTheEnd(t *testing.T) {
	socket := uringSocket(t)
	p := startUring(t, socket, nil, uringProgram(t))
	p.do("count end 3", "flush")
	k := takeAt(t, socket, 4096)
	pid := p.cmd.Process.Pid
	p.finish()
	k.untilCounter(pid, "end", 3)
}

func TestUringTellsEverythingAgainAfterARestartOfTheCollector(t *testing.T) {
	eachUringVariant(t, func(t *testing.T, program string) {
		socket := uringSocket(t)
		p := startUring(t, socket, []string{"HOTPATH_URING_BATCH=1"}, program)
		pid := p.cmd.Process.Pid
		for round := uint64(1); round <= 3; round++ {
			time.Sleep(1010 * time.Millisecond) // it tries once a second
			k := takeAt(t, socket, 256)
			p.do("move down -1", "record h 1", "set g 5", "series again 100")
			if round == 1 {
				p.do("record once 2")
			}
			p.do("flush")
			k.until(pid, func(s *contents) bool {
				return int64(s.counters["down"]) == -int64(round) && s.histograms["h"] == (histogram{round, float64(round)}) && s.gauges["g"] == 5 &&
					s.counters["again{n=99}"] == 100*round && s.histograms["once"] == (histogram{1, 2})
			})
			if round == 1 { // zero is something to tell, where it was something else before
				p.do("move down 1", "flush")
				k.untilCounter(pid, "down", 0)
				p.do("move down -1", "flush")
			}
			k.stop()
			p.do("count lost 10")
		}
		p.finish()
	})
}

func TestUringReconnectsOnceASecondAtMost(t *testing.T) {
	l := listenAt(t, uringSocket(t))
	defer l.Close()
	connections := make(chan time.Time, 1000)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connections <- time.Now()
			conn.Close()
		}
	}()
	p := startUring(t, l.Addr().String(), []string{"HOTPATH_URING_BATCH=1"}, uringProgram(t))
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); {
		p.do("count closes 100000", "flush")
	}
	if !strings.HasSuffix(p.status, "it hung up") {
		t.Errorf("status is %q", p.status)
	}
	if n := len(connections); n < 2 || n > 3 {
		t.Errorf("%d connections in 2.5 s", n)
	}
	p.finish() // and another
}

// collectors are what may be at the other end but a Collector, by what they do with a connection.
var collectors = map[string]struct {
	serve  func(conn *net.UnixConn)
	status string
}{
	"silent":  {func(conn *net.UnixConn) { _, _ = io.Copy(io.Discard, conn) }, "it has not answered yet"},
	"hangs":   {func(*net.UnixConn) { select {} }, "it has not answered yet"},
	"refuses": {says(message(uring.TypeRefused, []byte("the limit of 3 clients"))), "it refused: the limit of 3 clients"},
	"refuses later": {func(conn *net.UnixConn) {
		_, _ = conn.Write(greeting(64))
		_, _, _ = receive(conn)
		_, _ = conn.Write(message(uring.TypeRefused, []byte("no right to take the ring")))
	}, "it refused: no right to take the ring"},
	"greets only": {func(conn *net.UnixConn) {
		_, _ = conn.Write(greeting(64))
		_, _ = io.Copy(io.Discard, conn)
	}, "it has not answered yet"},
	"greets and hangs": {func(conn *net.UnixConn) {
		_, _ = conn.Write(greeting(64))
		select {}
	}, "it has not answered yet"},
	"garbage":           {says([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")), "no Collector, or one of another version"},
	"zeros":             {says(make([]byte, 4096)), "no Collector, or one of another version"},
	"another version":   {says([]byte{16, 0, 0, 0, 1, 0, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0}), "no Collector, or one of another version"},
	"ready at once":     {says(message(uring.TypeReady, nil)), "no Collector, or one of another version"},
	"greets twice":      {says(append(greeting(64), greeting(64)...)), "no Collector, or one of another version"},
	"odd entries":       {says(greeting(100)), "no Collector, or one of another version"},
	"no entries":        {says(greeting(0)), "no Collector, or one of another version"},
	"too many entries":  {says(greeting(1 << 31)), "no Collector, or one of another version"},
	"too long":          {says(message(uring.TypeRefused, make([]byte, 300))), "no Collector, or one of another version"},
	"ends in a message": {says(greeting(64)[:11]), "it hung up"},
}

func says(b []byte) func(*net.UnixConn) { return func(conn *net.UnixConn) { _, _ = conn.Write(b) } }

func TestUringSurvivesWhateverAnswers(t *testing.T) {
	for name, other := range collectors {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := listenAt(t, uringSocket(t))
			defer l.Close()
			go func() {
				for {
					conn, err := l.AcceptUnix()
					if err != nil {
						return
					}
					go func() { defer conn.Close(); other.serve(conn) }()
				}
			}()
			p := startUring(t, l.Addr().String(), []string{"HOTPATH_URING_BATCH=1"}, uringProgram(t))
			before := time.Now()
			p.do("series any 2000", "set any.gauge 3", "count any.counter 1000000")
			if took := time.Since(before); took > 5*time.Second {
				t.Errorf("counting took %v", took)
			}
			if !strings.HasSuffix(p.status, other.status) {
				t.Errorf("status is %q", p.status)
			}
			p.do("fork", "count any.counter 5", "end", "slowest 20000")
			if us, err := strconv.Atoi(p.before[0]); err != nil || us > 20000 {
				t.Errorf("the slowest add took %s us", p.before[0])
			}
			before = time.Now()
			p.finish()
			if took := time.Since(before); took > 2*time.Second {
				t.Errorf("the end took %v", took)
			}
		})
	}
}

func TestUringHearsAMessageByteByByte(t *testing.T) {
	l := listenAt(t, uringSocket(t))
	defer l.Close()
	hello := make(chan []byte, 10)
	go func() {
		conn, err := l.AcceptUnix()
		if err != nil {
			return
		}
		defer conn.Close()
		for _, b := range greeting(64) {
			_, _ = conn.Write([]byte{b})
			time.Sleep(time.Millisecond)
		}
		_, whole, _ := receive(conn)
		hello <- whole
		_, whole, _ = receive(conn)
		hello <- whole
	}()
	p := startUring(t, l.Addr().String(), nil, uringProgram(t))
	p.do("make slow")
	if got := len(<-hello); got < uring.HelloResource {
		t.Errorf("hello has %d bytes", got)
	}
	if got := string(<-hello); !strings.Contains(got, "slow") {
		t.Errorf("series are %q", got)
	}
	p.finish()
}

func TestUringOfForkedProcessesIsTheirOwn(t *testing.T) {
	for _, how := range []string{"fork", "raw-fork"} {
		t.Run(how, func(t *testing.T) {
			k := takeAt(t, uringSocket(t), 4096)
			p := startUring(t, k.socket, nil, uringProgram(t))
			p.do("count forks 1", "set forks.gauge 1", "flush", how, "count forks 10", "count forks.child 1", how, "count forks 100", "flush", "_end",
				"end", "vfork", how, "_end", how, "end", "count forks 1", "flush")
			all := k.images()
			if len(all) != 3 {
				t.Fatalf("%d processes", len(all))
			}
			told, instances := map[uint64]bool{}, map[[16]byte]bool{}
			for i, m := range all {
				if i > 0 {
					k.drained(m)
				}
				s := k.contents(m)
				told[s.counters["forks"]], instances[m.header.Instance] = true, true
				if (len(s.gauges) == 1) != (i == 0) {
					t.Errorf("process %d told %v, %v", i, s.counters, s.gauges)
				}
			}
			if len(instances) != 3 || !told[2] || !told[10] || !told[100] || all[0].ended {
				t.Errorf("told %v, instances %v; the first's connection has ended: %t", told, instances, all[0].ended)
			}
			p.finish()
			k.drained(all[0])
		})
	}
}

// A child that never counts does not hold its parent's connection.
func TestUringConnectionEndsWithItsProcessAndNotWithAChild(t *testing.T) {
	k := takeAt(t, uringSocket(t), 4096)
	p := startUring(t, k.socket, nil, compilers[0].compile(t, "testdata/exercise.c", "-lm"), "orphan")
	m := k.of(p.cmd.Process.Pid)
	p.finish()
	k.drained(m)
	if got := k.contents(m).counters["orphan.counter"]; got != 3 {
		t.Errorf("told %d of 3", got)
	}
}

func TestUringOfAStormOfChildrenIsExact(t *testing.T) {
	const children = 100
	eachUringVariant(t, func(t *testing.T, program string) {
		k := takeAt(t, uringSocket(t), 256)
		p := startUring(t, k.socket, []string{"HOTPATH_URING_BATCH=4"}, program)
		p.do("storm " + strconv.Itoa(children))
		p.finish()
		k.drained(k.of(p.cmd.Process.Pid))
		total := uint64(0)
		for _, m := range k.images() {
			k.drained(m)
			total += k.contents(m).counters["storm.counter"]
		}
		if total != 2*children {
			t.Errorf("children told %d of %d", total, 2*children)
		}
	})
}

func TestUringOfSignalHandlersThatFork(t *testing.T) {
	eachUringVariant(t, func(t *testing.T, program string) {
		k := takeAt(t, uringSocket(t), 256)
		p := startUring(t, k.socket, []string{"HOTPATH_URING_BATCH=1"}, program)
		p.do("fork-signals 100", "flush")
		k.untilCounter(p.cmd.Process.Pid, "fork_signals.counter", 100*2000)
		for _, m := range k.images()[1:] {
			if got := k.contents(m).counters["fork_signals.counter"]; got > 2000 {
				t.Errorf("a child told %d", got)
			}
		}
		p.finish()
	})
}

func TestUringOfSignalHandlersThatJumpAway(t *testing.T) {
	eachUringVariant(t, func(t *testing.T, program string) {
		for _, batch := range []string{"1", "16"} {
			k := takeAt(t, uringSocket(t)+batch, 4096)
			p := startUring(t, k.socket, []string{"HOTPATH_URING_BATCH=" + batch}, program)
			p.do("jumps 100", "flush", "jumps 100")
			want, err := strconv.ParseUint(p.before[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			p.do("flush")
			k.untilCounter(p.cmd.Process.Pid, "jumps.counter", want)
			p.finish()
		}
	})
}

func TestUringGoesOnAfterItsDescriptorsWereClosed(t *testing.T) {
	k := takeAt(t, uringSocket(t), 4096)
	p := startUring(t, k.socket, []string{"HOTPATH_URING_BATCH=1"}, uringProgram(t))
	p.do("count closed 10", "closefrom", "count closed 10")
	time.Sleep(1100 * time.Millisecond)
	p.do("count closed 10", "flush")
	k.untilCounter(p.cmd.Process.Pid, "closed", 30)
	if fds := uringDescriptors(t, p.cmd.Process.Pid); len(fds) != 3 {
		t.Errorf("descriptors are %v", fds)
	}
	p.do("files")
	if n, err := strconv.Atoi(p.before[0]); err != nil || n != 1021 {
		t.Errorf("the program could open %s files", p.before[0])
	}
	time.Sleep(1100 * time.Millisecond)
	p.do("count closed 1", "flush")
	k.until(p.cmd.Process.Pid, func(s *contents) bool { return s.counters["closed"] == 31 && s.counters["files.counter"] == 1000 })
	p.do("closing 300000")
	time.Sleep(1100 * time.Millisecond)
	p.do("count closed 1", "flush")
	k.until(p.cmd.Process.Pid, func(s *contents) bool { return s.counters["closed"] == 32 && s.counters["closing.counter"] == 300000 })
	p.finish()
}

func TestUringLeavesRingsThatReplaceItsOwnAlone(t *testing.T) {
	k := takeAt(t, uringSocket(t), 4096)
	p := startUring(t, k.socket, []string{"HOTPATH_URING_BATCH=1"}, uringProgram(t))
	p.do("count own.counter 10", "own-rings")
	time.Sleep(1100 * time.Millisecond)
	p.do("count own.counter 1", "flush")
	k.untilCounter(p.cmd.Process.Pid, "own.counter", 1011)
	p.finish()
}

// uringDescriptors are a process's rings and sockets.
func uringDescriptors(t *testing.T, pid int) (found []string) {
	t.Helper()
	entries, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		link, err := os.Readlink(entry)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if link != "anon_inode:[io_uring]" && !strings.HasPrefix(link, "socket:") {
			continue
		}
		info, err := os.ReadFile(strings.Replace(entry, "/fd/", "/fdinfo/", 1))
		if n, _ := strconv.Atoi(filepath.Base(entry)); n < 64 || err != nil || !strings.Contains(string(info), "flags:\t02") { // O_CLOEXEC
			t.Errorf("descriptor %s is %s: %s, %v", entry, link, info, err)
		}
		found = append(found, link)
	}
	return found
}

func TestUringEndsWithExec(t *testing.T) {
	k := takeAt(t, uringSocket(t), 4096)
	p := startUring(t, k.socket, nil, uringProgram(t))
	p.do("count exec 5", "flush", "exec")
	if got := uringDescriptors(t, p.cmd.Process.Pid); len(got) != 0 {
		t.Errorf("after exec, descriptors are %v", got)
	}
	m := k.images()[0]
	k.drained(m)
	p.do("count exec 7", "flush")
	k.untilCounter(p.cmd.Process.Pid, "exec", 7)
	if got := k.contents(m).counters["exec"]; got != 5 {
		t.Errorf("told %d of 5 before", got)
	}
	p.finish()
}

func TestUringOfALibraryThatIsUnloaded(t *testing.T) {
	for _, compiler := range [][]string{
		{"gcc", "-std=c11", "-O2", "-fPIC", "-shared", "testdata/library.c"},
		{"g++", "-std=c++17", "-O2", "-fPIC", "-shared", "testdata/library.cc"},
		{"clang", "-std=c11", "-O2", "-fPIC", "-shared", "testdata/library.c", "-DHOTPATH_NO_RSEQ"},
	} {
		t.Run(strings.Join(compiler, " "), func(t *testing.T) {
			k := takeAt(t, "@hotpath-library-"+strconv.Itoa(os.Getpid()), 4096)
			p := startUring(t, k.socket, nil, uringProgram(t))
			p.do("count library.counter 3", "library "+program(t, filepath.Base(compiler[len(compiler)-1])+".so", compiler...)+" 50")
			p.finish()
			got := map[uint64]int{}
			for _, m := range k.images() {
				k.drained(m)
				got[k.contents(m).counters["library.counter"]]++
			}
			if len(got) != 2 || got[3] != 1 || got[50] != 1 {
				t.Errorf("executable and library told %v", got)
			}
		})
	}
}

// Single messages go through the sending ring.
func TestUringBeforeMessagesCouldGoWithoutARing(t *testing.T) {
	k := takeAt(t, uringSocket(t), 256)
	filter := program(t, "without", "gcc", "-std=c11", "-O2", "testdata/without.c")
	p := startUring(t, k.socket, []string{"HOTPATH_URING_BATCH=1"}, filter, "ringless", uringProgram(t))
	p.do("count one 100", "record h 1", "threads 4 1000", "signals 20000", "fork-signals 20", "flush")
	k.until(p.cmd.Process.Pid, func(s *contents) bool {
		return s.counters["one"] == 100 && s.histograms["h"] == (histogram{1, 1}) && s.counters["threads.counter"] == 4000 && s.counters["fork_signals.counter"] == 40000
	})
	p.finish()
}

// An updowncounter that is zero may have been something else to the collector that comes back.
func TestUringTellsZeroesAnew(t *testing.T) {
	k := takeAt(t, uringSocket(t), 256)
	p := startUring(t, k.socket, nil, uringProgram(t))
	p.do("move moved 5", "flush", "move moved -5", "flush", "closefrom")
	time.Sleep(1100 * time.Millisecond)
	p.do("flush")
	pid := p.cmd.Process.Pid
	k.until(pid, func(*contents) bool {
		m := k.of(pid)
		_, told := m.complete[8] // the first slot
		return len(k.images()) == 2 && told
	})
	p.finish()
}

func TestUringWhereSomethingIsMissing(t *testing.T) {
	filter := program(t, "without", "gcc", "-std=c11", "-O2", "testdata/without.c")
	binary := uringProgram(t)
	for name, c := range map[string]struct {
		command       []string
		status, total string // what of it and where
	}{
		"no rings":               {[]string{filter, "rings", binary}, "; io_uring cannot be used: Operation not permitted (sysctl kernel.io_uring_disabled, or a seccomp filter", "shm"},
		"old kernel":             {[]string{filter, "io_uring", binary}, "; io_uring cannot be used: Function not implemented (an old kernel, or a seccomp filter)", "shm"},
		"no probe":               {[]string{filter, "probe", binary}, "; io_uring has no messages between rings, which take Linux 5.18", "shm"},
		"no entering":            {[]string{filter, "enter", binary}, "telling 2 series to the Collector", "nowhere"},
		"no sockets":             {[]string{filter, "sockets", binary}, "cannot make a socket: Operation not permitted", "nowhere"},
		"few files":              {[]string{binary, "few-files"}, "cannot make a socket: Too many open files", "nowhere"},
		"files":                  {[]string{filter, "files", binary}, "cannot make a socket: Function not implemented", "nowhere"}, // it cannot tell what is its own
		"another user, no right": {[]string{binary, "user"}, "Permission denied; give this user the right to write there", "nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			socket := uringSocket(t)
			if strings.Contains(name, "user") {
				socket = filepath.Join(t.TempDir(), "socket")
			}
			k := takeAt(t, socket, 4096)
			if strings.Contains(name, "user") {
				if err := os.Chmod(socket, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			p := startUring(t, k.socket, []string{"HOTPATH_URING_BATCH=1"}, c.command[0], c.command[1:]...)
			p.do("count missing 1000", "record h 1")
			if !strings.Contains(p.status, c.status) {
				t.Errorf("status is %q", p.status)
			}
			if c.total == "shm" {
				if got := p.collect().Total("missing"); got != 1000 || !strings.HasPrefix(p.status, "hotpath: publishing 2 series in "+p.dir) {
					t.Errorf("the directory has %d of 1000, status %q", got, p.status)
				}
			}
			p.finish()
		})
	}
}

func TestUringIsForUnprivilegedProcesses(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "hotpath-uring-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	k := takeAt(t, filepath.Join(dir, "socket"), 4096)
	p := startUring(t, k.socket, nil, uringProgram(t), "user")
	p.do("threads 2 1000", "flush")
	k.until(p.cmd.Process.Pid, func(s *contents) bool { return s.counters["threads.counter"] == 2000 })
	p.finish()
}

func TestUringSaysThatASocketsNameIsTooLong(t *testing.T) {
	p := startUring(t, "/"+strings.Repeat("a", 107), nil, uringProgram(t))
	p.do("count long 1000")
	if !strings.HasSuffix(p.status, "HOTPATH_SOCKET is longer than 107 bytes") {
		t.Errorf("status is %q", p.status)
	}
	p.finish()
}

func TestUringUnderSanitizersAndValgrind(t *testing.T) {
	for name, flags := range map[string][]string{
		"thread":                {"gcc", "-std=c11", "-O1", "-g", "-fsanitize=thread"},
		"address and undefined": {"gcc", "-std=c11", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"},
		"undefined, as C++":     {"g++", "-x", "c++", "-std=c++17", "-g", "-fsanitize=undefined", "-fno-sanitize-recover=all"},
		"valgrind":              {"gcc", "-std=c11", "-O1", "-g"},
	} {
		t.Run(name, func(t *testing.T) {
			command := []string{compiler{name, flags}.compile(t, "testdata/uring.c")}
			if name == "valgrind" {
				command = append([]string{need(t, "valgrind"), "-q", "--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"}, command...)
			}
			k := takeAt(t, uringSocket(t), 256)
			p := startUring(t, k.socket, []string{"HOTPATH_URING_BATCH=4", "HOTPATH_URING_DELAY=1000"}, command[0], command[1:]...)
			p.do("threads 8 10000", "series s 100", "set g 1", "fork", "count f 10", "end", "storm 9", "flush")
			k.until(p.cmd.Process.Pid, func(s *contents) bool { return s.counters["threads.counter"] == 80000 && s.counters["s{n=99}"] == 100 })
			k.stop()
			p.do("count s 1000")
			time.Sleep(1100 * time.Millisecond)
			k = takeAt(t, k.socket, 256)
			p.do("count s 1", "closefrom", "count s 100")
			p.finish()
			k.until(p.cmd.Process.Pid, func(s *contents) bool { return s.counters["threads.counter"] == 80000 && s.counters["s"] == 1101 })
		})
	}
}
