//go:build linux && (amd64 || arm64)

package hotpath

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

func init() {
	children["count and wait"] = func() {
		NewCounter("count").Add(5)
		NewGauge("level").Set(2)
		fmt.Println(process.path)
		waitForEnd()
	}
	children["count forever"] = func() {
		counter, histogram := NewCounter("count"), NewHistogram("values")
		counter.Add(1)
		fmt.Println(process.path)
		for {
			counter.Add(1)
			histogram.Record(2)
		}
	}
	children["close everything"] = func() {
		counter := NewCounter("count")
		must(unix.CloseRange(3, math.MaxUint32, 0))
		counter.Add(1)
		counter.Add(1)
		fmt.Println(process.path)
		waitForEnd()
	}
	children["under limits"] = func() {
		for resource, name := range map[int]string{unix.RLIMIT_NOFILE: "NOFILE", unix.RLIMIT_FSIZE: "FSIZE", unix.RLIMIT_AS: "AS"} {
			var limit uint64
			if n, _ := fmt.Sscan(os.Getenv("LIMIT_"+name), &limit); n == 1 {
				if resource == unix.RLIMIT_AS {
					size, _ := memory()
					limit += size
				}
				must(unix.Setrlimit(resource, &unix.Rlimit{Cur: limit, Max: limit}))
			}
		}
		countAndTell()
	}
	children["mlockall"] = func() {
		must(unix.Mlockall(unix.MCL_FUTURE))
		_, before := memory()
		countAndTell()
		_, after := memory()
		fmt.Println(int64(after - before))
		waitForEnd()
	}
	children["unprivileged"] = func() {
		must(syscall.Setgid(65534))
		must(syscall.Setuid(65534))
		if os.Getenv("LINK") != "" { // as without CAP_DAC_READ_SEARCH before Linux 6.10
			must(refuse(unix.SYS_LINKAT, 4, unix.AT_EMPTY_PATH, unix.ENOENT))
		}
		countAndTell()
		waitForEnd()
	}
	children["without MADV_POPULATE_WRITE"] = func() {
		must(refuse(unix.SYS_MADVISE, 2, unix.MADV_POPULATE_WRITE, unix.EINVAL)) // as before Linux 5.14
		counters := make([]Counter, 20_000)
		for i := range counters {
			counters[i] = NewCounter(fmt.Sprint("many", i%4), WithAttributes(Int("i", int64(i))))
			counters[i].Add(1)
			counters[i].Add(1)
		}
		for i := range 100 {
			NewHistogram(fmt.Sprint("histogram", i)).Record(1)
		}
		fmt.Println(process.path)
		fmt.Println(Status())
		waitForEnd()
	}
	children["fill the tmpfs"] = fillTheTmpfs
}

// countAndTell counts in all ways and prints the status.
func countAndTell() {
	counter, gauge, histogram := NewCounter("count"), NewGauge("level"), NewHistogram("values")
	for range 3 {
		counter.Add(1)
		gauge.Set(1)
		histogram.Record(1)
	}
	fmt.Println(Status())
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// memory is how many bytes of address space this process has, and how many are resident.
func memory() (size, resident uint64) {
	statm, err := os.ReadFile("/proc/self/statm")
	must(err)
	_, err = fmt.Sscan(string(statm), &size, &resident)
	must(err)
	page := uint64(os.Getpagesize())
	return size * page, resident * page
}

// refuse makes a system call fail where one of its arguments has a value.
func refuse(call, argument, value uint32, with unix.Errno) error {
	_, err := filter(call, argument, value, unix.SECCOMP_RET_ERRNO|uint32(with), unix.SECCOMP_FILTER_FLAG_TSYNC)
	return err
}

// filter has something done about a system call where one of its arguments has a value. The number means what the flags say.
func filter(call, argument, value, action uint32, flags uintptr) (number int, err error) {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // struct seccomp_data: the number, then, at 16, the arguments
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 3, K: call},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 16 + 8*argument},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: value},
		{Code: unix.BPF_RET | unix.BPF_K, K: action},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	runtime.LockOSThread() // no_new_privs is the thread's until the filter is in all of them
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	n, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func TestAnUnprivilegedProcessPublishesWhereItMay(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to drop it")
	}
	for _, c := range []struct {
		mode os.FileMode
		link string
		want string
	}{
		{os.ModeSticky | 0o777, "", "publishes 3 series"},
		{os.ModeSticky | 0o777, "refuse AT_EMPTY_PATH", "publishes 3 series"},
		{0o755, "", "permission denied; give this user the right to write there or set HOTPATH_DIR); published as a memfd"},
	} {
		dir := directoryOnTmpfs(t)
		if err := os.Chmod(dir, c.mode); err != nil {
			t.Fatal(err)
		}
		p := start(t, "unprivileged", map[string]string{"HOTPATH_DIR": dir, "LINK": c.link})
		if s := p.line(t); !strings.Contains(s, c.want) {
			t.Errorf("in a directory of mode %v, status is %q", c.mode, s)
		} else if strings.Contains(s, "publishes") && !locked(t, readOnly(t, dir).path) {
			t.Error("the segment is not locked")
		}
		p.end(t)
	}
}

func TestTheLockIsHeldUntilTheProcessIsKilledAndTheValuesStay(t *testing.T) {
	c := start(t, "count forever", in(directoryOnTmpfs(t)))
	path := c.line(t)
	if !locked(t, path) {
		t.Fatal("the segment of a live process is not locked")
	}
	first := read(t, path).series["count"].words[0]
	for deadline := time.Now().Add(10 * time.Second); read(t, path).series["count"].words[0] < first+1_000_000; {
		if time.Now().After(deadline) {
			t.Fatal("the child does not count")
		}
	}
	before := read(t, path)
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if locked(t, path) {
		t.Error("the segment of a dead process is locked")
	}
	p := read(t, path)
	count, values := p.series["count"].words[0], p.series["values"]
	if count < before.series["count"].words[0] {
		t.Errorf("the counter fell from %d to %d", before.series["count"].words[0], count)
	}
	// At most one measurement was under way.
	if n := values.count(); n+1 != count && n+2 != count {
		t.Errorf("%d adds but %d values", count, n)
	}
	if n := float64(values.count()); values.sum != 2*n && values.sum != 2*(n-1) {
		t.Errorf("%v values of 2 have the sum %v", n, values.sum)
	}
}

func TestTheLockOutlivesAllDescriptors(t *testing.T) {
	c := start(t, "close everything", in(directoryOnTmpfs(t)))
	path := c.line(t)
	if !locked(t, path) {
		t.Error("the lock went with the descriptors")
	}
	if n := read(t, path).series["count"].words[0]; n != 2 {
		t.Errorf("counter is %d", n)
	}
	c.end(t)
	if locked(t, path) {
		t.Error("the segment of a dead process is locked")
	}
}

func TestADirectoryTakesNoDescriptorAndAMemfdOne(t *testing.T) {
	counts := func(environment map[string]string) int {
		before := descriptors(t)
		fresh(environment).counter("x")
		return descriptors(t) - before
	}
	for _, c := range []struct {
		dir, transport string
		want           int
	}{
		{directoryOnTmpfs(t), "", 0}, {"/proc", "", 1}, {"/nowhere/at/all", "shm", 1}, {"/nowhere/at/all", "bpf", 1}, {"/nowhere/at/all", "off", 0},
	} {
		if n := counts(map[string]string{"HOTPATH_DIR": c.dir, "HOTPATH_TRANSPORT": c.transport}); n != c.want {
			t.Errorf("%s, %q: %d descriptors, want %d", c.dir, c.transport, n, c.want)
		}
	}
}

func TestLimitsOfTheProcessMakeCountingPrivate(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"LIMIT_NOFILE", "3", `counts 3 series in private memory.*too many open files; raise the limit \(ulimit -n\); create a memfd: too many open files\)`},
		{"LIMIT_FSIZE", "1000000", `counts 3 series in private memory, [^(]*\(RLIMIT_FSIZE allows 1000000 bytes, [^;)]*\)`},
		{"LIMIT_AS", "134217728", `counts 3 series in private memory, [^(]*\(map memory: cannot allocate memory\)`},
		{"LIMIT_AS", "0", `hotpath counts nothing, for want of memory.*; [1-9]\d* measurements were refused`},
	} {
		for _, transport := range []string{"shm", "bpf"} {
			dir := directoryOnTmpfs(t)
			p := start(t, "under limits", map[string]string{"HOTPATH_DIR": dir, "HOTPATH_TRANSPORT": transport, c.name: c.value})
			if transport == "bpf" {
				c.want = strings.Replace(c.want, `.*too many open files; raise the limit \(ulimit -n\); `, `.*\(`, 1)
			}
			if s := p.line(t); !matches(s, c.want) {
				t.Errorf("%s=%s %s: status is %q", c.name, c.value, transport, s)
			}
			p.end(t)
			if entries, _ := os.ReadDir(dir); len(entries) != 0 {
				t.Errorf("%s %s: %v was left behind", c.name, transport, entries)
			}
		}
	}
}

func TestAnUnknownTransportIsToldOnceOnStandardError(t *testing.T) {
	for transport, want := range map[string]string{
		"shmem": "hotpath: HOTPATH_TRANSPORT \"shmem\" is unknown (want shm, bpf, user_events, io_uring or off); counting goes on in private memory\n",
		"off":   "", "io_uring": "", "bpf": "", "shm": "",
	} {
		c := start(t, "under limits", map[string]string{"HOTPATH_DIR": directoryOnTmpfs(t), "HOTPATH_TRANSPORT": transport})
		s := c.line(t)
		c.end(t)
		if c.err.String() != want {
			t.Errorf("%s: standard error has %q", transport, c.err.String())
		}
		if private := strings.Contains(s, "private memory"); private == (transport == "shm" || transport == "bpf") {
			t.Errorf("%s: status is %q", transport, s)
		}
	}
}

func TestLockedMemoryIsNotFilled(t *testing.T) {
	for _, transport := range []string{"shm", "bpf", "off"} {
		dir := directoryOnTmpfs(t)
		c := start(t, "mlockall", map[string]string{"HOTPATH_DIR": dir, "HOTPATH_TRANSPORT": transport})
		status, locked := c.line(t), c.line(t)
		if strings.Contains(status, "hotpath counts") && transport != "off" {
			t.Skip("needs the right to lock memory: ", status)
		}
		var grown int
		if n, _ := fmt.Sscan(locked, &grown); n != 1 || grown > 32<<20 {
			t.Errorf("%s: %s bytes more are locked or resident", transport, locked)
		}
		var p *published
		switch transport {
		case "shm":
			p = readOnly(t, dir)
		case "bpf":
			p = read(t, held(t, c.Process.Pid))
		}
		if p != nil && p.blocks > 256<<10 {
			t.Errorf("%s: the segment takes %d bytes", transport, p.blocks)
		}
		c.end(t)
	}
}

func TestOldKernelsGetASmallSegmentFilledAtOnce(t *testing.T) {
	inBothPlaces(t, func(t *testing.T, environment map[string]string) {
		c := start(t, "without MADV_POPULATE_WRITE", environment)
		path, status := c.line(t), c.line(t)
		if !strings.Contains(status, "hotpath publishes") {
			t.Fatal(status)
		}
		if path == "" {
			path = held(t, c.Process.Pid)
		}
		p := read(t, path)
		g := small()
		if p.field(segment.OffFileSize) != uint64(g.size()) || p.blocks < int64(g.size()) {
			t.Errorf("the segment has %d bytes, %d of them filled, want %d", p.field(segment.OffFileSize), p.blocks, g.size())
		}
		var adds, values uint64
		for _, v := range p.series {
			if v.record.Kind == segment.KindCounter {
				adds += v.words[0]
			} else {
				values += v.count()
			}
		}
		if adds != 40_000 || values != 100 || p.field(segment.OffUnplaced) != 0 {
			t.Errorf("%d adds and %d values in %d series, %d unplaced", adds, values, len(p.series), p.field(segment.OffUnplaced))
		}
		c.end(t)
	})
}

// smallTmpfs mounts a tmpfs of 4 MiB.
func smallTmpfs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("hotpath-test", dir, "tmpfs", 0, "size=4m,mode=1777"); err != nil {
		t.Skip("needs the right to mount: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error("unmount:", err)
		}
	})
	return dir
}

func ballast(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Fallocate(int(f.Fd()), 0, 0, size)
}

func TestNothingIsPublishedOnATmpfsLessThanAQuarterFree(t *testing.T) {
	dir := smallTmpfs(t)
	for _, c := range []struct {
		size int64
		want string
	}{{3<<20 - 8192, "publishes 3 series"}, {3<<20 + 4096, "less than a quarter free"}} {
		if err := ballast(filepath.Join(dir, "ballast"), c.size); err != nil {
			t.Fatal(err)
		}
		p := start(t, "under limits", in(dir))
		if s := p.line(t); !strings.Contains(s, c.want) {
			t.Errorf("with %d bytes taken, status is %q, want %q", c.size, s, c.want)
		}
		p.end(t)
		for _, path := range globbed(t, dir) {
			os.Remove(path)
		}
	}
}

// fillTheTmpfs counts before and after the directory's tmpfs is full.
func fillTheTmpfs() {
	before, gauge := NewCounter("before"), NewGauge("gauge.before")
	before.Add(1)
	for size := int64(1 << 20); size > 0; size /= 2 {
		for i := 0; ballast(fmt.Sprintf("%s/ballast-%d-%d", os.Getenv("HOTPATH_DIR"), size, i), size) == nil; i++ {
		}
	}
	// The rest of the first pages is in the segment; what needs more isn't.
	for i := range 2000 {
		c := NewCounter("after", WithAttributes(Int("i", int64(i))))
		c.Add(1)
		c.Add(1)
		g := NewGauge("gauge.after", WithAttributes(Int("i", int64(i))))
		g.Set(1)
	}
	for range 100 {
		NewHistogram("histogram.after").Record(1)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	done := make(chan struct{})
	for range 8 {
		go func() {
			for range 100_000 {
				before.Add(1)
			}
			done <- struct{}{}
		}()
	}
	for range 8 {
		<-done
	}
	gauge.Set(7)
	fmt.Println(process.path)
	fmt.Println(Status())
	waitForEnd()
}

func TestOnAFullTmpfsWhatHasMemoryGoesOn(t *testing.T) {
	dir := smallTmpfs(t)
	c := start(t, "fill the tmpfs", in(dir))
	path, status := c.line(t), c.line(t)
	if path == "" {
		t.Fatal(status)
	}
	p := read(t, path)
	if n := p.series["before"].words[0]; n != 800_001 {
		t.Errorf("counter is %d, want 800001", n)
	}
	if v := math.Float64frombits(p.series["gauge.before"].words[0]); v != 7 {
		t.Errorf("gauge is %v", v)
	}
	unplaced := p.field(segment.OffUnplaced)
	if int(unplaced)+len(p.series) != 2+4000+1 || unplaced < 3000 {
		t.Errorf("%d series published, %d unplaced", len(p.series), unplaced)
	}
	for name, v := range p.series {
		if strings.HasPrefix(name, "after") && v.words[0] != 2 {
			t.Errorf("%s is %d", name, v.words[0])
		}
	}
	if want := fmt.Sprintf("publishes %d series in %s; %d series have no room there", len(p.series), path, unplaced); !strings.Contains(status, want) {
		t.Errorf("status is %q, want %q", status, want)
	}
	c.end(t)
}
