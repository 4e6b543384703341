package dump

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	hotpath "github.com/hotpath-metrics/hotpath/client/go"
	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/exit"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

// clientEnv makes this binary a client that counts and waits.
const clientEnv = "HOTPATH_TEST_CLIENT"

func TestMain(m *testing.M) {
	if os.Getenv(clientEnv) != "" {
		hotpath.NewCounter("requests", hotpath.WithUnit("{request}"), hotpath.WithAttributes(hotpath.String("op", "get"), hotpath.Bool("hit", true))).Add(12345)
		open := hotpath.NewUpDownCounter("open")
		open.Add(-7)
		runtime.GOMAXPROCS(1) // one ring
		for i := range 3 {
			open.AddWith(1, hotpath.Int("peer", int64(i)))
		}
		hotpath.NewGauge("load").Set(0.25)
		hotpath.NewGauge("unset")
		h := hotpath.NewHistogram("latency", hotpath.WithUnit("s"), hotpath.WithDescription("How long it took"))
		for _, v := range []float64{0, 1.5, 1.5, 1e-12} {
			h.Record(v)
		}
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func tmpfs(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "hotpath-test-")
	if err != nil {
		t.Skipf("needs tmpfs at /dev/shm: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// client starts a client and returns its pid.
func client(t *testing.T, environment ...string) int {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(append(os.Environ(), clientEnv+"=1", "OTEL_SERVICE_NAME=shop"), environment...)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = io.ReadFull(out, make([]byte, len("ready\n")))
	require.NoError(t, err)
	t.Cleanup(func() {
		in.Close()
		assert.NoError(t, cmd.Wait())
	})
	return cmd.Process.Pid
}

// dump runs the command and returns what it prints, and its exit status.
func dump(args ...string) (string, int) {
	var out bytes.Buffer
	c := Command()
	c.SetOut(&out)
	c.SetErr(io.Discard)
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(args)
	err := c.Execute()
	var status exit.Status
	switch {
	case errors.As(err, &status):
		return out.String(), int(status)
	case err != nil:
		return err.Error(), exit.Usage
	}
	return out.String(), 0
}

func checkClient(t *testing.T, path string) string {
	text, status := dump("--stripes", path)
	require.Zero(t, status, text)
	for _, want := range []string{
		"service.name=shop", "requests hit=true op=get", "= 12,345", "= -7", "= 0.25", "never set", "How long it took",
		"4 records, sum 3.000000000001, mean 750ms; 1 zero, 1 clamped", "(1.41421,", "stripe 0:", "Nothing is wrong with it.", "deliver 7 series at each collection",
		"rings_used        1", "Measurement rings", "  0  at ", "head 18  3 recorded",
	} {
		assert.Contains(t, text, want)
	}
	return text
}

func TestSegmentsOfRealClientsAreDecodedAndFoundGood(t *testing.T) {
	dir := tmpfs(t)
	pid := client(t, "HOTPATH_DIR="+dir, "HOTPATH_TRANSPORT=shm")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	path := filepath.Join(dir, entries[0].Name())
	text := checkClient(t, path)
	assert.Contains(t, text, fmt.Sprintf("process %d dump.test lives", pid))

	copied := filepath.Join(dir, "copy")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(copied, b, 0o600))
	text, status := dump(copied)
	assert.Zero(t, status)
	assert.Contains(t, text, "Nobody holds its lock")
	assert.Contains(t, text, "deliver 7 series once more, and remove the file")
}

func TestMemfdsOfRealClientsAreDecodedByTheirDescriptor(t *testing.T) {
	pid := client(t, "HOTPATH_TRANSPORT=bpf")
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	require.NoError(t, err)
	for _, fd := range fds {
		path := fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name())
		if link, _ := os.Readlink(path); strings.HasPrefix(link, "/memfd:hotpath") {
			assert.Contains(t, checkClient(t, path), "a memfd named hotpath")
			return
		}
	}
	t.Fatal("the client has no memfd")
}

func TestMemfdWithoutItsSealsIsRefused(t *testing.T) {
	fd, err := unix.MemfdCreate("hotpath", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(fd)
	_, err = unix.Write(fd, good().Bytes())
	require.NoError(t, err)
	text, status := dump(fmt.Sprintf("/proc/self/fd/%d", fd))
	assert.Equal(t, 1, status)
	assert.Contains(t, text, `reason "seals"`)
}

func TestMemfdOfAnotherNameIsNotFound(t *testing.T) {
	fd, err := unix.MemfdCreate("other", unix.MFD_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(fd)
	_, err = unix.Write(fd, good().Bytes())
	require.NoError(t, err)
	text, status := dump(fmt.Sprintf("/proc/self/fd/%d", fd))
	assert.Equal(t, 1, status)
	assert.Contains(t, text, "The Collector would not find it")
}

func good() segmenttest.Segment {
	return segmenttest.Segment{PID: 42, ID: 7, StripesUsed: 2, Records: []segmenttest.Record{
		segmenttest.Resource(segmenttest.Str("service.name", "shop")),
		segmenttest.Counter(1, "requests", segmenttest.Str("op", "get")),
		segmenttest.Gauge(1, "load"),
		segmenttest.Histogram(8, "latency"),
		segmenttest.UpDownCounter(528, "open"),
	}}
}

// recordAt is where the records of good lie.
func recordAt(n int) int {
	at := segmenttest.CatalogueOffset
	for _, r := range good().Records[:n] {
		at += len(r.Append(nil))
	}
	return at
}

type jsonOutput struct {
	Writer          *struct{ Live bool }
	Header          map[string]any
	Resource        map[string]any
	Series          []struct{ Name, Kind string }
	Inconsistencies []Fault
	Remarks         []string
	Collector       Verdict
}

func dumpJSON(t testing.TB, path string) (out jsonOutput, status int) {
	text, status := dump("--json", path)
	require.NoError(t, json.Unmarshal([]byte(text), &out), text)
	return out, status
}

func TestEveryInconsistencyIsToldWithItsPlace(t *testing.T) {
	put := segmenttest.Put
	for name, tt := range map[string]struct {
		change func(b []byte) []byte
		want   []string // reason, offset and field
		series int      // that are decoded all the same
	}{
		"no segment":      {func(b []byte) []byte { b[0] = 'h'; return b }, []string{"magic 0 magic"}, 0},
		"too short":       {func(b []byte) []byte { return b[:100] }, []string{"truncated 0 length of the header"}, 0},
		"empty":           {func([]byte) []byte { return nil }, []string{"truncated 0 length of the header"}, 0},
		"a newer version": {func(b []byte) []byte { b[layout.OffMajor] = 2; return b }, []string{"version 8 major"}, 0},
		"cut off":         {func(b []byte) []byte { return b[:segmenttest.StripesOffset+4096] }, []string{"truncated 24 file_size", "bounds 104 stripes_offset"}, 4},
		"several fields": {func(b []byte) []byte {
			put(b, layout.OffStartTime, 0)
			put(b, layout.OffCatalogueUsed, 1<<40)
			put(b, layout.OffStripesUsed, 99)
			return b
		}, []string{"header 32 start_time", "bounds 192 catalogue_used", "bounds 200 stripes_used", fmt.Sprintf("catalogue %d size", recordAt(5))}, 4},
		"areas that overlap": {func(b []byte) []byte { put(b, layout.OffSharedOffset, segmenttest.CatalogueOffset); return b }, []string{"overlap 88 shared_offset"}, 4},
		"a slot that is taken": {
			func(b []byte) []byte { put(b, recordAt(4)+layout.RecordSlot, 9); return b },
			[]string{fmt.Sprintf("overlap %d slot", recordAt(4)+layout.RecordSlot)},
			4,
		},
		"a slot outside": {
			func(b []byte) []byte { put(b, recordAt(1)+layout.RecordSlot, 1<<60); return b },
			[]string{fmt.Sprintf("bounds %d slot", recordAt(1)+layout.RecordSlot)},
			4,
		},
		"no resource": {
			func(b []byte) []byte { b[recordAt(0)+layout.RecordKind] = layout.KindCounter; return b },
			[]string{fmt.Sprintf("catalogue %d kind", recordAt(0)+layout.RecordKind)},
			5,
		},
		"a bad name": {
			func(b []byte) []byte { b[recordAt(2)+layout.RecordHeaderSize] = 0x1b; return b },
			[]string{fmt.Sprintf("name %d name", recordAt(2)+layout.RecordHeaderSize)},
			4,
		},
		"a bad attribute": {
			func(b []byte) []byte { b[recordAt(1)+40+layout.AttributeType] = 9; return b },
			[]string{fmt.Sprintf("attributes %d type", recordAt(1)+40+layout.AttributeType)},
			4,
		},
		"a record without end": {
			func(b []byte) []byte { put(b, recordAt(2), 0xffff0); return b },
			[]string{fmt.Sprintf("catalogue %d size", recordAt(2))},
			1,
		},
		"an attribute of the resource": {
			func(b []byte) []byte {
				b[recordAt(0)+layout.RecordHeaderSize+layout.AttributeHeaderSize] = 0xff
				return b
			},
			[]string{fmt.Sprintf("utf8 %d key", recordAt(0)+layout.RecordHeaderSize+layout.AttributeHeaderSize)},
			4,
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(tmpfs(t), "segment")
			require.NoError(t, os.WriteFile(path, tt.change(good().Bytes()), 0o600))
			out, status := dumpJSON(t, path)
			assert.Equal(t, 1, status)
			var got []string
			for _, f := range out.Inconsistencies {
				got = append(got, fmt.Sprintf("%s %d %s", f.Reason, f.Offset, f.Field))
				assert.NotEmpty(t, f.Read)
				assert.NotEmpty(t, f.Want)
			}
			assert.Equal(t, tt.want, got)
			assert.Len(t, out.Series, tt.series)
			text, status := dump(path)
			assert.Equal(t, 1, status)
			assert.Contains(t, text, fmt.Sprintf("Inconsistencies: %d", len(tt.want)))
			assert.NotContains(t, text, "\x1b")
		})
	}
}

func TestGoodSegmentHasNone(t *testing.T) {
	path := filepath.Join(tmpfs(t), "segment")
	b := good().Bytes()
	segmenttest.Put(b, segmenttest.StripeWord(0, 1), 5)
	segmenttest.Put(b, segmenttest.StripeWord(1, 1), 1<<63)
	segmenttest.Put(b, segmenttest.StripeWord(0, 528), 1)
	segmenttest.Put(b, segmenttest.StripeWord(1, 528), ^uint64(2))
	require.NoError(t, os.WriteFile(path, b, 0o600))
	out, status := dumpJSON(t, path)
	assert.Zero(t, status)
	assert.Empty(t, out.Inconsistencies)
	assert.Empty(t, out.Remarks)
	assert.Equal(t, Verdict{Reads: true, Series: 4, Does: "deliver 4 series once more, and remove the file: nobody holds the lock, so the process has ended"}, out.Collector)
	assert.Equal(t, map[string]any{"service.name": "shop"}, out.Resource)
	assert.EqualValues(t, 42, out.Header["pid"])
	text, _ := dump(path)
	assert.Contains(t, text, "= 9,223,372,036,854,775,813")
	assert.Contains(t, text, "= -2\n")
}

func TestRemarksAreNoInconsistencies(t *testing.T) {
	path := filepath.Join(tmpfs(t), "segment")
	s := good()
	s.Records = append(s.Records, segmenttest.Record{Kind: 77})
	b := s.Bytes()
	b[300] = 1
	require.NoError(t, os.WriteFile(path, b, 0o600))
	out, status := dumpJSON(t, path)
	assert.Zero(t, status)
	assert.Len(t, out.Remarks, 2)
}

func TestWhatOnlyTheReceiverFindsIsTold(t *testing.T) {
	dir := tmpfs(t)
	path := filepath.Join(dir, "sparse")
	s := good()
	s.StripeCount, s.StripesUsed = 200, 200
	b := s.Bytes()
	require.NoError(t, os.WriteFile(path, b[:segmenttest.StripesOffset+segmenttest.StripeSize], 0o600))
	require.NoError(t, os.Truncate(path, int64(len(b))))
	out, status := dumpJSON(t, path)
	assert.Equal(t, 1, status)
	require.Len(t, out.Inconsistencies, 1)
	assert.Equal(t, "sparse", out.Inconsistencies[0].Reason)
	assert.Equal(t, "sparse", out.Collector.Reason)

	require.NoError(t, os.WriteFile(path, good().Bytes(), 0o600))
	require.NoError(t, os.Link(path, filepath.Join(dir, "link")))
	out, status = dumpJSON(t, path)
	assert.Equal(t, 1, status)
	assert.Equal(t, "hard_link", out.Collector.Reason)
	assert.NotContains(t, out.Collector.Does, "remove")
}

func TestFilesThatCannotBeReadAreRefusedAtOnce(t *testing.T) {
	dir := tmpfs(t)
	fifo := filepath.Join(dir, "fifo")
	require.NoError(t, unix.Mkfifo(fifo, 0o600))
	for _, path := range []string{filepath.Join(dir, "missing"), fifo, dir, "/dev/zero", "/proc/self/fd/9999"} {
		text, status := dump(path)
		assert.Equal(t, exit.Usage, status, "%s: %s", path, text)
	}
	_, status := dump()
	assert.Equal(t, exit.Usage, status)
}

func TestDumpChangesNothingAndIsNoWriter(t *testing.T) {
	dir := tmpfs(t)
	live, err := segmenttest.Publish(dir, "live", good().Bytes())
	require.NoError(t, err)
	defer live.Die()
	path := filepath.Join(dir, "live")
	var before, after unix.Stat_t
	require.NoError(t, unix.Stat(path, &before))
	for range 2 {
		out, status := dumpJSON(t, path)
		assert.Zero(t, status)
		assert.True(t, out.Writer.Live)
	}
	live.Die()
	out, _ := dumpJSON(t, path)
	assert.False(t, out.Writer.Live)
	require.NoError(t, unix.Stat(path, &after))
	before.Atim, after.Atim = unix.Timespec{}, unix.Timespec{}
	before.Mtim, before.Ctim = after.Mtim, after.Ctim // of the mapping
	assert.Equal(t, before, after)
}
