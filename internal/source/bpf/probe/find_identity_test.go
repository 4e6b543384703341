package probe

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// overlays lays file systems over one folder, in which the program `app` is.
func overlays(t *testing.T, names ...string) (dir string) {
	t.Helper()
	need(t)
	dir = t.TempDir()
	require.NoError(t, unix.Mount("none", dir, "tmpfs", 0, ""))
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	require.NoError(t, os.Mkdir(dir+"/lower", 0o755))
	copied(t, "target", dir+"/lower/app")
	for _, name := range names {
		upper, work, at := dir+"/upper-"+name, dir+"/work-"+name, dir+"/"+name
		for _, folder := range []string{upper, work, at} {
			require.NoError(t, os.Mkdir(folder, 0o755))
		}
		options := fmt.Sprintf("lowerdir=%s/lower,upperdir=%s,workdir=%s", dir, upper, work)
		if err := unix.Mount("overlay", at, "overlay", 0, options); err != nil {
			t.Skip("overlayfs: ", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	}
	return dir
}

func needIdentity(t *testing.T, f *fixture) {
	t.Helper()
	if f.common.programs.Programs[processesProgIdentify] == nil {
		t.Skip("needs Linux 5.17")
	}
}

func TestHostAFileBelowTwoOverlaysIsAttachedToOnce(t *testing.T) {
	dir := overlays(t, "one", "two")
	f := start(t, at(dir+"/???/app"))
	needIdentity(t, f)
	work(t, dir+"/one/app", 10)
	assert.EqualValues(t, 10, f.collect().Total("n"))
	assert.Len(t, f.probes[0].files, 1)
}

func TestHostAFileOfAnOverlayThatIsReplacedWhileItRunsIsStillCounted(t *testing.T) {
	dir := overlays(t, "one")
	old := spawnCommand(t, exec.Command(dir+"/one/app", "wait", "0", "work", "5", "wait", "0"))
	f := start(t, at(dir+"/one/app"))
	needIdentity(t, f)
	copied(t, "target", dir+"/one/app")
	for range unmappedLooks {
		f.lookAgain()
		f.collect()
	}
	old.goOn()
	require.EqualValues(t, 5, f.collect().Total("n"))
}

// A process may map another file between the look and the opening.
func TestWhatWasMappedInPlaceOfAnotherFileIsNotTakenForIt(t *testing.T) {
	f := start(t, named("libother.so"))
	needIdentity(t, f)
	lib, err := os.Open(program("libwork.so"))
	require.NoError(t, err)
	defer lib.Close()
	code, err := unix.Mmap(int(lib.Fd()), 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
	require.NoError(t, err)
	defer func() { _ = unix.Munmap(code) }()
	m := mappingOf(t, f, "libwork.so")
	own := m.id
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.probes[0]
	m.id = fileID{own.device, own.inode + 1}
	assert.False(t, f.takeMapping(p, m))
	assert.Empty(t, p.files)
	assert.Empty(t, p.refused)
	m.id = own
	assert.True(t, f.takeMapping(p, m))
	assert.Len(t, p.files, 1)
}

// mappingOf finds one of this process.
func mappingOf(t *testing.T, f *fixture, name string) *mapped {
	t.Helper()
	in, err := f.common.mappings.Open()
	require.NoError(t, err)
	defer in.Close()
	for {
		var record [mappedSize]byte
		_, err := in.Read(record[:])
		require.NoError(t, err, "it is not listed")
		if m := parseMapped(&record); m.name == name && int(m.tid) == os.Getpid() {
			return &m
		}
	}
}

func TestTheIdentityOfAFileIsThatOfItsInode(t *testing.T) {
	f := start(t, named("libwork.so"))
	needIdentity(t, f)
	lib, err := os.Open(program("libwork.so"))
	require.NoError(t, err)
	defer lib.Close()
	info, err := lib.Stat()
	require.NoError(t, err)
	id, err := f.common.identity(lib, fileID{})
	require.NoError(t, err)
	assert.Equal(t, info.Sys().(*syscall.Stat_t).Ino, id.inode, "it lies on no other file system")
}
