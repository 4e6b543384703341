package probe

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func named(library string) string {
	return "\n- metric: {name: n, type: counter}\n  uprobe: {binary: " + library + ", symbol: shared_work}\n"
}

func TestALibraryByItsNameThatAProgramRunsAlready(t *testing.T) {
	p := spawn(t, "caller", "5", "and")
	f := start(t, named("libwork.so"))
	p.release()
	p.finish()
	require.EqualValues(t, 5, of(f.collect(), p.pid).Counters["n"])
}

func TestHostALibraryByAPatternOfItsName(t *testing.T) {
	p := spawn(t, "caller", "5", "and")
	f := start(t, named("'libw?rk.s*'"))
	p.release()
	p.finish()
	require.EqualValues(t, 5, of(f.collect(), p.pid).Counters["n"])
}

func TestALibraryThatIsOpenedLater(t *testing.T) {
	need(t)
	library := t.TempDir() + "/libopened.so"
	copied(t, "libwork.so", library)
	keep := spawn(t, "target", "wait", "0", "open", library, "wait", "0")
	f := start(t, named("libopened.so"))
	require.Empty(t, f.probes[0].files)
	holder := exec.Command(program("caller"), "1", "and")
	holder.Env = append(os.Environ(), "LD_PRELOAD="+library)
	held := spawnCommand(t, holder)
	f.lookAgain()
	f.collect()
	require.Len(t, f.probes[0].files, 1)
	keep.goOn()
	require.EqualValues(t, 10, of(f.collect(), keep.pid).Counters["n"])
	held.finish()
}

func TestALibraryInAnotherMountNamespace(t *testing.T) {
	need(t)
	dir := t.TempDir()
	p := spawnCommand(t, exec.Command("unshare", "-m", "sh", "-c",
		"mount -t tmpfs none "+dir+" && cp "+program("caller")+" "+program("libwork.so")+" "+dir+" && mv "+dir+"/libwork.so "+dir+"/libhidden.so && "+
			"ln -s libhidden.so "+dir+"/libwork.so && exec "+dir+"/caller 5 and"))
	require.NoFileExists(t, dir+"/libhidden.so")
	f := start(t, named("libhidden.so"))
	p.finish()
	require.EqualValues(t, 5, of(f.collect(), p.pid).Counters["n"])
}

func TestAProgramInAChangedRoot(t *testing.T) {
	need(t)
	root := t.TempDir()
	copied(t, "target-static", root+"/chrooted")
	cmd := exec.Command("/chrooted", "wait", "0", "work", "5")
	cmd.SysProcAttr, cmd.Dir = &syscall.SysProcAttr{Chroot: root}, "/"
	p := spawnCommand(t, cmd)
	f := start(t, "\n- metric: {name: n, type: counter}\n  uprobe: {binary: chrooted, symbol: do_work}\n")
	p.finish()
	require.EqualValues(t, 5, of(f.collect(), p.pid).Counters["n"])
}

func TestHostAFileThatNobodyRunsAnyMoreIsLetGo(t *testing.T) {
	need(t)
	path := t.TempDir() + "/passing"
	copied(t, "target", path)
	p := spawnCommand(t, exec.Command(path, "wait", "0"))
	f := start(t, "\n- metric: {name: n, type: counter}\n  uprobe: {binary: passing, symbol: do_work}\n")
	require.Len(t, f.probes[0].files, 1)
	p.finish()
	for range unmappedLooks {
		f.lookAgain()
		f.collect()
	}
	assert.Empty(t, f.probes[0].files)
}

func TestParseMapped(t *testing.T) {
	var b [mappedSize]byte
	for i := range b {
		b[i] = byte(i)
	}
	m := parseMapped(&b)
	assert.EqualValues(t, 0x0706050403020100, m.id.inode)
	assert.EqualValues(t, 0x1f1e1d1c, m.tid)
	assert.Len(t, m.name, len(b)-32)
}
