package journal

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const name = ".rings"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		appendForever(dir)
	}
	os.Exit(m.Run())
}

// folder is an open directory on tmpfs.
type folder struct {
	testing.TB
	path string
	fd   int
}

func tmpfs(t testing.TB) *folder {
	dir, err := os.MkdirTemp("/dev/shm", "hotpath-test-")
	if err != nil {
		t.Skipf("needs tmpfs at /dev/shm: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return opened(t, dir)
}

func opened(t testing.TB, dir string) *folder {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return &folder{t, dir, fd}
}

func (f *folder) file() string { return filepath.Join(f.path, name) }

// open is what a collector's start does.
func (f *folder) open() (*Journal, State) {
	f.Helper()
	j, state, err := Open(f.fd, name)
	require.NoError(f, err)
	f.Cleanup(j.Close)
	if len(state) == 0 {
		require.True(f, j.Lost())
		require.NoError(f, j.Compact(state.Frames()))
	}
	require.False(f, j.Lost())
	return j, state
}

func (f *folder) append(j *Journal, fill func(*Frame)) {
	f.Helper()
	var frame Frame
	fill(&frame)
	require.NoError(f, j.Append(&frame))
}

var shop, bakery = Key{UID: 7, ID: math.MaxUint64}, Key{UID: math.MaxUint32, ID: 1}

func TestWhatWasAppendedIsReadAgain(t *testing.T) {
	f := tmpfs(t)
	j, state := f.open()
	assert.Empty(t, state)
	f.append(j, func(frame *Frame) {
		frame.Segment(shop)
		frame.Drained(-5)
		frame.Ring(2, Ring{Words: 1 << 40, End: 3, Sequence: math.MaxUint64, Unnumbered: true})
		frame.Series(9, &Series{Slot: math.MaxUint32, Kind: 5, Start: 77, Attributes: []byte("op=get")})
		frame.Value(9, Word{519, math.MaxUint64})
		frame.Value(9, Word{0, 1})
		frame.Series(10, &Series{Kind: 2})
		frame.Value(10, Word{0, 4})
		frame.Segment(bakery)
		frame.Series(9, &Series{Kind: 3, Start: -1})
	})
	f.append(j, func(frame *Frame) {
		frame.Segment(shop)
		frame.Value(9, Word{0, 2})
		frame.Value(9, Word{8, 3})
		frame.SeriesGone(10)
	})
	want := State{
		shop: {
			Drained: -5, Rings: map[int]Ring{2: {1 << 40, 3, math.MaxUint64, true}},
			Series: map[uint64]*Series{9: {
				Slot: math.MaxUint32, Kind: 5, Start: 77, Attributes: []byte("op=get"), Values: []Word{{0, 2}, {8, 3}, {519, math.MaxUint64}},
			}},
		},
		bakery: {Rings: map[int]Ring{}, Series: map[uint64]*Series{9: {Kind: 3, Start: -1, Attributes: []byte{}}}},
	}
	for range 2 { // the second reads what the first has rewritten
		j.Close()
		j, state = f.open()
		assert.Equal(t, want, state)
	}
	f.append(j, func(frame *Frame) {
		frame.SegmentGone(shop)
		frame.Segment(bakery)
		frame.Drained(6)
	})
	j.Close()
	_, state = f.open()
	assert.Len(t, state, 1)
	assert.EqualValues(t, 6, state[bakery].Drained)
}

func TestEntryOfASeriesThatIsNotThereChangesNothing(t *testing.T) {
	f := tmpfs(t)
	j, _ := f.open()
	f.append(j, func(frame *Frame) {
		frame.Segment(shop)
		frame.Value(1, Word{0, 1})
		frame.SeriesGone(2)
		frame.SegmentGone(bakery)
	})
	j.Close()
	_, state := f.open()
	assert.Equal(t, State{shop: {Rings: map[int]Ring{}, Series: map[uint64]*Series{}}}, state)
}

// counted is a journal in which each frame raises one value of two segments and says so by a ring's position.
func counted(n int) []byte {
	b := []byte(magic)
	for i := range n {
		var f Frame
		countTo(&f, uint64(i+1))
		b = append(b, f.seal()...)
	}
	return b
}

func countTo(f *Frame, n uint64) {
	for _, key := range []Key{shop, bakery} {
		f.Segment(key)
		f.Ring(0, Ring{Words: n})
		if n == 1 {
			f.Series(1, &Series{Kind: 2, Attributes: []byte("some attributes")})
		}
		f.Value(1, Word{0, n})
	}
}

// whole is how far counted got, and requires that no frame was read in part.
func whole(t testing.TB, s State) uint64 {
	t.Helper()
	if len(s) == 0 {
		return 0
	}
	n := s[shop].Rings[0].Words
	for _, key := range []Key{shop, bakery} {
		require.Equal(t, n, s[key].Rings[0].Words)
		require.Equal(t, []Word{{0, n}}, s[key].Series[1].Values)
	}
	return n
}

func TestTornOrWrongTailIsCutAtTheLastWholeFrame(t *testing.T) {
	b := counted(3)
	ends := []int{len(counted(1)), len(counted(2)), len(b)}
	frames := func(upTo int) (n uint64) {
		for _, end := range ends {
			if end <= upTo {
				n++
			}
		}
		return n
	}
	for i := range b {
		require.Equal(t, frames(i), whole(t, replay(bytes.NewReader(b[:i]), int64(i))), "torn at %d", i)
		for _, flip := range []byte{1, 0x80, 0xff} {
			wrong := bytes.Clone(b)
			wrong[i] ^= flip
			n := whole(t, replay(bytes.NewReader(wrong), int64(len(wrong))))
			if i < len(magic) {
				require.Zero(t, n)
			} else {
				require.Equal(t, frames(i), n, "byte %d", i)
			}
		}
	}
	f := tmpfs(t)
	require.NoError(t, os.WriteFile(f.file(), b[:len(b)-1], 0o600))
	j, state := f.open()
	assert.EqualValues(t, 2, whole(t, state))
	f.append(j, func(frame *Frame) { countTo(frame, 4) })
	j.Close()
	_, state = f.open()
	assert.EqualValues(t, 4, whole(t, state), "what is appended follows what was whole")
}

// A frame whose checksum is right and whose entries are not was written by a later version, or an enemy.
func TestFrameThatIsWrongChangesNothing(t *testing.T) {
	for what, payload := range map[string][]byte{
		"no segment":             {entryDrained, 1},
		"a segment that is gone": {entrySegmentGone, 7, 1, entryDrained, 1},
		"an unknown entry":       {entrySegment, 7, 1, 99},
		"an unknown entry first": {99},
		"an owner too large":     {entrySegment, 0xff, 0xff, 0xff, 0xff, 0x7f, 1},
		"a number without end":   {entrySegment, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		"a number cut short":     {entrySegment, 7, 0x80},
		"a segment cut short":    {entrySegment},
		"a flag that is none":    {entrySegment, 7, 1, entryRing, 0, 1, 1, 1, 2},
		"attributes cut short":   {entrySegment, 7, 1, entrySeries, 1, 1, 1, 1, 4, 'a', 'b', 'c'},
		"a word too large":       {entrySegment, 7, 1, entryValue, 1, 0x80, 0x80, 0x04, 1},
		"a ring too large":       {entrySegment, 7, 1, entryRing, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 1, 1, 0},
	} {
		before := counted(2)
		var f Frame
		f.Segment(shop)
		f.Ring(0, Ring{Words: 9})
		f.bytes = append(f.bytes, payload...)
		if what == "no segment" || what == "an unknown entry first" {
			f.bytes = append(f.bytes[:frameHeader], payload...)
		}
		b := append(before, f.seal()...)
		b = append(b, counted(3)[len(before):]...)
		assert.EqualValues(t, 2, whole(t, replay(bytes.NewReader(b), int64(len(b)))), what)
	}
}

func TestFileIsTheUsersAloneAndTakesThePlaceOfWhatIsThere(t *testing.T) {
	defer unix.Umask(unix.Umask(0o777))
	for what, squat := range map[string]func(path string) error{
		"nothing":           func(string) error { return nil },
		"a file for others": func(p string) error { _ = os.WriteFile(p, counted(3), 0o600); return os.Chmod(p, 0o644) },
		"a file of others": func(p string) error {
			_ = os.WriteFile(p, counted(3), 0o600)
			_ = os.Chmod(p, 0o600)
			return os.Chown(p, 1234, 1234)
		},
		"a file with a twin": func(p string) error {
			_ = os.WriteFile(p, counted(3), 0o600)
			_ = os.Chmod(p, 0o600)
			return os.Link(p, p+"2")
		},
		"a fifo":          func(p string) error { return unix.Mkfifo(p, 0o666) },
		"a symbolic link": func(p string) error { return os.Symlink("/etc/hostname", p) },
		"a full directory": func(p string) error {
			defer unix.Umask(unix.Umask(0))
			return os.MkdirAll(filepath.Join(p, "full"), 0o755)
		},
	} {
		for _, at := range []string{"", ".new"} {
			t.Run(what+" at "+name+at, func(t *testing.T) {
				if os.Getuid() != 0 {
					t.Skip("needs root, to make files of another user")
				}
				f := tmpfs(t)
				require.NoError(t, squat(f.file()+at))
				j, state := f.open()
				assert.Empty(t, state, "it may be an enemy's")
				f.append(j, func(frame *Frame) { countTo(frame, 1) })
				var st unix.Stat_t
				require.NoError(t, unix.Lstat(f.file(), &st))
				assert.EqualValues(t, unix.S_IFREG|0o600, st.Mode)
				assert.EqualValues(t, os.Geteuid(), st.Uid)
				j.Close()
				_, state = f.open()
				assert.EqualValues(t, 1, whole(t, state))
			})
		}
	}
}

func TestCompactionComesWhenTheFileHasGrown(t *testing.T) {
	f := tmpfs(t)
	j, _ := f.open()
	var state State
	frame := Frame{}
	most := int64(0)
	for n, compactions := uint64(1), 0; compactions < 3; n++ {
		frame.Reset()
		countTo(&frame, n)
		require.NoError(t, j.Append(&frame))
		state = State{shop: {
			Rings:  map[int]Ring{0: {Words: n}},
			Series: map[uint64]*Series{1: {Kind: 2, Attributes: []byte("some attributes"), Values: []Word{{0, n}}}},
		}}
		state[bakery] = state[shop]
		if !j.Full() {
			continue
		}
		compactions++
		info, err := os.Stat(f.file())
		require.NoError(t, err)
		require.Equal(t, j.size, info.Size())
		most = max(most, info.Size())
		require.NoError(t, j.Compact(state.Frames()))
		require.False(t, j.Full())
		info, err = os.Stat(f.file())
		require.NoError(t, err)
		assert.Less(t, info.Size(), int64(200))
		j.Close()
		var again State
		j, again = f.open()
		assert.Equal(t, state, again)
	}
	assert.InDelta(t, slack, most, 1000)
	names, err := os.ReadDir(f.path)
	require.NoError(t, err)
	assert.Len(t, names, 1)
}

func TestJournalWhoseFileWasRemovedOrReplacedIsLostUntilACompaction(t *testing.T) {
	for what, harm := range map[string]func(path string) error{
		"removed":  os.Remove,
		"replaced": func(p string) error { _ = os.Remove(p); return os.WriteFile(p, nil, 0o600) },
		"shared":   func(p string) error { return os.Chmod(p, 0o644) },
		"linked":   func(p string) error { return os.Link(p, p+"2") },
	} {
		f := tmpfs(t)
		j, _ := f.open()
		require.NoError(t, harm(f.file()))
		require.True(t, j.Lost(), what)
		require.NoError(t, j.Compact(replay(bytes.NewReader(counted(1)), 1<<20).Frames()))
		require.False(t, j.Lost(), what)
		j.Close()
		_, state := f.open()
		assert.EqualValues(t, 1, whole(t, state), what)
	}
}

func TestNothingIsMadeOfNothing(t *testing.T) {
	f := tmpfs(t)
	j, state, err := Open(f.fd, name)
	require.NoError(t, err)
	assert.Empty(t, state)
	assert.True(t, j.Lost())
	assert.NoFileExists(t, f.file())
}

func TestCompactionThatFailsLeavesTheJournalAsItIs(t *testing.T) {
	f := tmpfs(t)
	j, _ := f.open()
	f.append(j, func(frame *Frame) { countTo(frame, 1) })
	bad := func(yield func(*Frame) bool) {
		var frame Frame
		countTo(&frame, 2)
		j.name += "/no" // the rename fails
		yield(&frame)
	}
	require.Error(t, j.Compact(bad))
	j.name = name
	require.False(t, j.Lost())
	f.append(j, func(frame *Frame) { countTo(frame, 3) })
	j.Close()
	_, state := f.open()
	assert.EqualValues(t, 3, whole(t, state))
}

// full is a tmpfs without any room left but what the returned call makes.
func full(t *testing.T) (f *folder, free func()) {
	dir := t.TempDir()
	if err := unix.Mount("hotpath-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs to mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	file, err := os.Create(ballast)
	require.NoError(t, err)
	_, err = io.Copy(file, bytes.NewReader(make([]byte, 2<<20)))
	require.ErrorIs(t, err, unix.ENOSPC)
	require.NoError(t, file.Close())
	return opened(t, dir), func() { require.NoError(t, os.Remove(ballast)) }
}

func TestJournalThatCannotBeWrittenIsRemovedAndBegunAnewByACompaction(t *testing.T) {
	f, free := full(t)
	require.NoError(t, os.Truncate(filepath.Join(f.path, "ballast"), 1<<20-1<<16))
	j, _ := f.open()
	var frame Frame
	var n uint64
	var err error
	for err == nil {
		n++
		frame.Reset()
		countTo(&frame, n)
		err = j.Append(&frame)
		require.Less(t, n, uint64(1<<16))
	}
	require.ErrorIs(t, err, unix.ENOSPC)
	assert.True(t, j.Lost())
	assert.False(t, j.Full())
	assert.NoFileExists(t, f.file())
	require.NoError(t, j.Append(&frame), "it is known to be lost")

	require.NoError(t, os.Truncate(filepath.Join(f.path, "ballast"), 0))
	filler, err := os.OpenFile(filepath.Join(f.path, "ballast"), os.O_WRONLY, 0)
	require.NoError(t, err)
	_, _ = io.Copy(filler, bytes.NewReader(make([]byte, 2<<20)))
	require.NoError(t, filler.Close())
	state := replay(bytes.NewReader(counted(2)), 1<<20)
	require.ErrorIs(t, j.Compact(state.Frames()), unix.ENOSPC)
	assert.True(t, j.Lost())
	names, err := os.ReadDir(f.path)
	require.NoError(t, err)
	assert.Len(t, names, 1, "nothing is left of it")

	free()
	require.NoError(t, j.Compact(state.Frames()))
	f.append(j, func(frame *Frame) { countTo(frame, 3) })
	j.Close()
	_, state = f.open()
	assert.EqualValues(t, 3, whole(t, state))
}

func TestOpenOnAFullFileSystemSaysWhatIsThereAndRemovesIt(t *testing.T) {
	f, free := full(t)
	free()
	require.NoError(t, os.WriteFile(f.file(), counted(2), 0o600))
	ballast, err := os.Create(filepath.Join(f.path, "ballast"))
	require.NoError(t, err)
	_, _ = io.Copy(ballast, bytes.NewReader(make([]byte, 2<<20)))
	require.NoError(t, ballast.Close())
	j, state, err := Open(f.fd, name)
	require.ErrorIs(t, err, unix.ENOSPC)
	assert.EqualValues(t, 2, whole(t, state))
	assert.True(t, j.Lost())
	assert.NoFileExists(t, f.file())
}

// writerEnv makes this binary a collector that appends to the journal in the named directory, and compacts it, until it is killed.
const writerEnv = "HOTPATH_TEST_WRITER"

func appendForever(dir string) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	fail(err)
	j, state, err := Open(fd, name)
	fail(err)
	if len(state) == 0 {
		fail(j.Compact(state.Frames()))
	}
	n := uint64(0)
	if s := state[shop]; s != nil {
		n = s.Rings[0].Words
	}
	var frame Frame
	for {
		n++
		frame.Reset()
		countTo(&frame, n)
		fail(j.Append(&frame))
		if n%100 == 0 {
			compacted := replay(bytes.NewReader(counted(1)), 1<<20)
			for _, s := range compacted {
				s.Rings[0] = Ring{Words: n}
				s.Series[1].set(Word{0, n})
			}
			fail(j.Compact(compacted.Frames()))
		}
		fmt.Println(n)
	}
}

func TestKilledAtAnyInstantNothingThatWasAppendedIsLostOrHalfThere(t *testing.T) {
	f := tmpfs(t)
	last := uint64(0)
	for round := range 20 {
		child := exec.Command("/proc/self/exe")
		child.Env = append(os.Environ(), writerEnv+"="+f.path)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		lines := bufio.NewScanner(out)
		for told := 0; lines.Scan(); told++ {
			_, err := fmt.Sscan(lines.Text(), &last)
			require.NoError(t, err)
			if told == 50+37*round {
				require.NoError(t, child.Process.Kill())
			}
		}
		_ = child.Wait()
		file, err := os.ReadFile(f.file())
		require.NoError(t, err)
		n := whole(t, replay(bytes.NewReader(file), int64(len(file))))
		require.GreaterOrEqual(t, n, last)
		require.LessOrEqual(t, n, last+1)
		last = n
	}
}

func FuzzReplay(f *testing.F) {
	f.Add([]byte(magic))
	f.Add(counted(2))
	var frame Frame
	frame.Segment(shop)
	frame.Drained(1)
	frame.Series(1, &Series{Attributes: []byte("a")})
	frame.SeriesGone(1)
	frame.SegmentGone(shop)
	f.Add(append([]byte(magic), frame.seal()...))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = replay(bytes.NewReader(b), int64(len(b)))
		// The same as a payload whose checksum is right.
		sealed := Frame{append(make([]byte, frameHeader), b...)}
		whole := append([]byte(magic), sealed.seal()...)
		state := replay(bytes.NewReader(whole), int64(len(whole)))
		again := []byte(magic)
		for frame := range state.Frames() {
			again = append(again, frame.seal()...)
		}
		require.Equal(t, state, replay(bytes.NewReader(again), int64(len(again))), "what was understood can be told again")
	})
}

func BenchmarkAppend(b *testing.B) {
	f := tmpfs(b)
	j, _, err := Open(f.fd, name)
	require.NoError(b, err)
	defer j.Close()
	require.NoError(b, j.Compact(State{}.Frames()))
	var frame Frame
	b.ReportAllocs()
	for b.Loop() {
		frame.Reset()
		frame.Segment(shop)
		for i := range uint64(1000) {
			frame.Value(i, Word{0, 1 << 30})
		}
		require.NoError(b, j.Append(&frame))
		if j.Full() {
			require.NoError(b, j.Compact(State{}.Frames()))
		}
	}
}
