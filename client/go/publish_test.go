//go:build linux && (amd64 || arm64)

package hotpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

func TestASegmentIsAsTheFormatSays(t *testing.T) {
	dir := directoryOnTmpfs(t)
	before := time.Now().UnixNano()
	c := fresh(in(dir))
	c.counter("x")
	p := readOnly(t, dir)
	name := filepath.Base(p.path)
	if want := fmt.Sprintf("%d-%016x", os.Getpid(), p.field(segment.OffSegmentID)); name != want {
		t.Errorf("the file is called %s, want %s", name, want)
	}
	stat, err := os.Stat(p.path)
	if err != nil || stat.Mode() != 0o600 || uint64(stat.Size()) != p.field(segment.OffFileSize) {
		t.Errorf("the file has mode %v and %d bytes: %v", stat.Mode(), stat.Size(), err)
	}
	g := roomy()
	for offset, want := range map[int]uint64{
		segment.OffHeaderSize: 512, segment.OffFileSize: uint64(g.size()), segment.OffPID: uint64(os.Getpid()),
		segment.OffCatalogueOffset: 512, segment.OffCatalogueSize: 8<<20 - 512, segment.OffSharedOffset: 8 << 20, segment.OffSharedSize: 256 << 10,
		segment.OffStripesOffset: 8<<20 + 256<<10, segment.OffStripeSize: 8 << 20, segment.OffStripeCount: uint64(g.stripes), segment.OffStripesUsed: 1,
		segment.OffRingsOffset: 8<<20 + 256<<10 + uint64(g.stripes)<<23, segment.OffRingSize: 2 << 20, segment.OffRingWords: 1 << 17, segment.OffRingCount: uint64(g.stripes - 1),
		segment.OffRingsUsed: 0,
	} {
		if got := p.field(offset); got != want {
			t.Errorf("the header's word at %d is %d, want %d", offset, got, want)
		}
	}
	if string(p.header[:8]) != segment.Magic {
		t.Errorf("magic is %q", p.header[:8])
	}
	if start := int64(p.field(segment.OffStartTime)); start < before || start > time.Now().UnixNano() {
		t.Errorf("start time is %d", start)
	}
	if s := c.status(); s != "hotpath publishes 1 series in "+p.path+"." {
		t.Errorf("status is %q", s)
	}
}

func TestAllSegmentsOfAProcessHaveOneInstance(t *testing.T) {
	a, b := directoryOnTmpfs(t), directoryOnTmpfs(t)
	fresh(in(a)).counter("x")
	fresh(in(b)).counter("x")
	one, two := readOnly(t, a), readOnly(t, b)
	instance := func(p *published) [16]byte { return [16]byte(p.header[segment.OffInstance:]) }
	if instance(one) != instance(two) || instance(one) == [16]byte{} {
		t.Errorf("instances are %x and %x", instance(one), instance(two))
	}
	if one.field(segment.OffSegmentID) == two.field(segment.OffSegmentID) {
		t.Error("segment ids are equal")
	}
	c := start(t, "count and wait", in(directoryOnTmpfs(t)))
	if path := c.line(t); instance(read(t, path)) == instance(one) {
		t.Error("another process has the same instance")
	}
}

func TestAHundredCountersTakeLittleMemory(t *testing.T) {
	inBothPlaces(t, func(t *testing.T, environment map[string]string) {
		c := fresh(environment)
		counters := make([]Counter, 100)
		for i := range counters {
			counters[i] = c.counter(fmt.Sprintf("service.requests.%d", i%10), WithUnit("{request}"), WithDescription("Requests served."),
				WithAttributes(String("http.request.method", "GET"), String("http.route", fmt.Sprintf("/v1/items/%d", i)), Int("http.response.status_code", 200)))
		}
		c.wantStripe(0)
		for _, counter := range counters {
			counter.Add(1)
		}
		p := c.read(t)
		if p.field(segment.OffStripesUsed) < 2 {
			t.Fatalf("%d stripes in use, want 2", p.field(segment.OffStripesUsed))
		}
		// Further stripes, for Ps that came by, take a page each.
		if limit := int64(64<<10) + int64(p.field(segment.OffStripesUsed)-2)*4096; p.blocks > limit {
			t.Errorf("the segment takes %d bytes with %d stripes", p.blocks, p.field(segment.OffStripesUsed))
		}
		t.Logf("%d bytes, %d stripes", p.blocks, p.field(segment.OffStripesUsed))
	})
}

func TestAMissingDirectoryIsMadeForEverybody(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	dir := filepath.Join(directoryOnTmpfs(t), "hotpath")
	fresh(in(dir)).counter("x")
	readOnly(t, dir)
	if stat, err := os.Stat(dir); err != nil || stat.Mode() != os.ModeDir|os.ModeSticky|0o777 {
		t.Errorf("mode is %v, %v", stat.Mode(), err)
	}
}

func TestInASetgidDirectoryTheGroupMayRead(t *testing.T) {
	dir := directoryOnTmpfs(t)
	if err := os.Chmod(dir, 0o770|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	fresh(in(dir)).counter("x")
	if stat, err := os.Stat(readOnly(t, dir).path); err != nil || stat.Mode().Perm() != 0o640 {
		t.Errorf("mode is %v, %v", stat.Mode(), err)
	}
}

func TestWithoutADirectoryTheSegmentIsAMemfd(t *testing.T) {
	tmpfs := directoryOnTmpfs(t)
	file := filepath.Join(tmpfs, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(tmpfs, "link")
	if err := os.Symlink(tmpfs, link); err != nil {
		t.Fatal(err)
	}
	crowded := filepath.Join(tmpfs, "crowded")
	if err := os.Mkdir(crowded, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range maxEntries {
		if err := unix.Mknod(filepath.Join(crowded, fmt.Sprint(i)), unix.S_IFREG|0o600, 0); err != nil {
			t.Fatal(err)
		}
	}
	const memfd, private = `has 1 series but no file for them \(.*%s.*\); published as a memfd for a Collector with the source bpf\.`,
		`counts 1 series in private memory, .*\(%s`
	for _, c := range []struct{ dir, transport, status, reason string }{
		{filepath.Join(tmpfs, "no", "parent"), "", memfd, "no such file or directory; create it or set HOTPATH_DIR"},
		{file, "", memfd, "not a directory; set HOTPATH_DIR to a directory"},
		{link, "", memfd, "not a directory; set HOTPATH_DIR to a directory"},
		{"/" + strings.Repeat("a", 5000), "", memfd, "file name too long; set HOTPATH_DIR to a directory"},
		{"shm/hotpath", "", memfd, `HOTPATH_DIR "shm/hotpath" is not an absolute path`},
		{"/proc/hotpath", "", memfd, "/proc is not on tmpfs"},
		{"/proc", "shm", memfd, "/proc has less than 64 MiB free"},
		{crowded, "", memfd, "holds 8192 files or more; is a Collector running\\?"},
		{tmpfs, "off", private, "HOTPATH_TRANSPORT is off"},
		{tmpfs, "io_uring", "counts 1 series in private memory until it can tell a Collector by io_uring.*%s", "connect to /run/hotpath/io_uring.sock"},
	} {
		made := fresh(map[string]string{"HOTPATH_DIR": c.dir, "HOTPATH_TRANSPORT": c.transport})
		counter := made.counter("x")
		counter.Add(1)
		counter.Add(1)
		if s, want := made.status(), fmt.Sprintf(c.status, c.reason); !matches(s, want) {
			t.Errorf("%s %s: status is %q, want %q", c.dir, c.transport, s, want)
		}
		if counter == (Counter{}) || made.header.Load().load(segment.OffRefused) != 0 {
			t.Errorf("%s: nothing is counted", c.dir)
		}
	}
	if err := os.Remove(filepath.Join(crowded, "17")); err != nil {
		t.Fatal(err)
	}
	fresh(in(crowded)).counter("x")
	readOnly(t, crowded)
}

// mountTmpfs mounts one for the time of the test.
func mountTmpfs(t *testing.T, flags uintptr, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestWhatKeepsAFileFromADirectoryIsSaidWithARemedy(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	for _, c := range []struct{ dir, reason string }{
		{mountTmpfs(t, unix.MS_RDONLY, ""), "read-only file system; set HOTPATH_DIR to a directory that can be written to"},
		{mountTmpfs(t, 0, "nr_inodes=1"), "no space left on device; make room there or set HOTPATH_DIR"},
	} {
		made := fresh(in(c.dir))
		made.counter("x")
		if s, want := made.status(), c.dir+": "+c.reason+"); published as a memfd"; !strings.Contains(s, want) {
			t.Errorf("status is %q, want %q", s, want)
		}
	}
}

func TestOnlyWhatIsAboutADirectoryHasAnAdvice(t *testing.T) {
	for errno, want := range map[unix.Errno]string{
		unix.EOPNOTSUPP: "; set HOTPATH_DIR to a directory on tmpfs", unix.ELOOP: "; set HOTPATH_DIR to a directory",
		unix.EDQUOT: "; make room there or set HOTPATH_DIR", unix.EMFILE: "; raise the limit (ulimit -n)", unix.EPERM: "", unix.ENOMEM: "",
	} {
		err := fmt.Errorf("create a file: %w", errno)
		if got := advised(err); got.Error() != err.Error()+want || !errors.Is(got, errno) {
			t.Errorf("advised %q", got)
		}
	}
}

func TestADirectoryOffTmpfsHoldsSegmentsToo(t *testing.T) {
	dir := t.TempDir()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil || fs.Type == unix.TMPFS_MAGIC {
		t.Skip("needs a temporary directory that is not on tmpfs")
	}
	c := fresh(in(dir))
	c.counter("x").Add(7)
	if strings.Contains(c.status(), "not supported") {
		t.Skip("needs O_TMPFILE: ", c.status())
	}
	if v := readOnly(t, dir).series["x"]; v.words[0] != 7 {
		t.Errorf("counter is %d", v.words[0])
	}
	d, err := openDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	for i := range 1500 { // more than one buffer of getdents
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%d", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := d.entries(); n != 1501 {
		t.Errorf("%d entries were counted, want 1501", n)
	}
}

func TestTheResourceDescribesTheProcess(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Base(exe)
	for _, c := range []struct {
		list, name string
		want       map[string]any
		complaint  string
	}{
		{"", "", map[string]any{"service.name": "unknown_service:" + base}, ""},
		{"", "shop", map[string]any{"service.name": "shop"}, ""},
		{"service.name=list,a=b", "", map[string]any{"service.name": "list", "a": "b"}, ""},
		{"service.name=list, a = b%20c%2C%3D , a=d=e", "shop", map[string]any{"service.name": "shop", "a": "d=e"}, ""},
		{"k%2C=b%20%2C%C3%A9,empty=", "", map[string]any{"service.name": "unknown_service:" + base, "k,": "b ,é", "empty": ""}, ""},
		{"service.name=", "", map[string]any{"service.name": "unknown_service:" + base}, ""},
		{"a=b,nonsense", "", map[string]any{"service.name": "unknown_service:" + base}, `"nonsense" is not key=value`},
		{"a=b,c=%zz", "shop", map[string]any{"service.name": "shop"}, `decode the value of "c"`},
		{"a=b,=c", "", map[string]any{"service.name": "unknown_service:" + base}, `the key ""`},
		{strings.Repeat("k=v,", 63) + "k=v", "", map[string]any{"service.name": "unknown_service:" + base}, "it has 64 attributes"},
		{"a=%ff", "", map[string]any{"service.name": "unknown_service:" + base, "a": "\uFFFD"}, ""},
	} {
		dir := directoryOnTmpfs(t)
		made := fresh(map[string]string{"HOTPATH_DIR": dir, "OTEL_RESOURCE_ATTRIBUTES": c.list, "OTEL_SERVICE_NAME": c.name})
		made.counter("x")
		c.want["process.executable.name"] = base
		if got := readOnly(t, dir).resource; fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%q, %q: resource is %v, want %v", c.list, c.name, got, c.want)
		}
		if s := made.status(); c.complaint == "" && strings.Contains(s, "OTEL") || !strings.Contains(s, c.complaint) {
			t.Errorf("%q: status is %q", c.list, s)
		}
	}
}

func TestStatusIsOneSentence(t *testing.T) {
	c := fresh(in(directoryOnTmpfs(t)))
	if s := c.status(); s != "hotpath has made no instrument yet." {
		t.Errorf("status is %q", s)
	}
	h := c.histogram("values")
	c.histogram("bad name")
	h.Record(-1)
	want := regexp.MustCompile(`^hotpath publishes 1 series in \S+; 1 measurements were refused; 1 calls for a series were rejected, the last because the name "bad name" is not .*\.$`)
	if s := c.status(); !want.MatchString(s) {
		t.Errorf("status is %q", s)
	}
}

func TestTheInstanceIsTheKernelsView(t *testing.T) {
	p, err := kernelsView()
	if err != nil {
		t.Fatal(err)
	}
	id := instance()
	if p.PID != os.Getpid() || p.StartTime == 0 || len(p.BootID) != 36 || id != p.Instance() {
		t.Errorf("the kernel's view is %+v, instance %x", p, binary.NativeEndian.Uint64(id[:]))
	}
}
