package probe

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// copied puts a copy of a program there, in place of the name, or of the bytes, of what is there.
func copied(t *testing.T, name, to string) {
	t.Helper()
	b, err := os.ReadFile(program(name))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to+".new", b, 0o755))
	require.NoError(t, os.Rename(to+".new", to))
}

func at(path string) string {
	return "\n- metric: {name: n, type: counter}\n  uprobe: {binary: '" + path + "', symbol: do_work}\n"
}

func work(t *testing.T, path string, times int) int {
	t.Helper()
	cmd := exec.Command(path, "work", fmt.Sprint(times))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return cmd.Process.Pid
}

func TestHostAPatternTakesAllFilesThatMatch(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a1", "a2", "b1"} {
		copied(t, "target", filepath.Join(dir, name))
	}
	f := start(t, at(dir+"/a[0-9]"))
	for i, name := range []string{"a1", "a2", "b1"} {
		work(t, filepath.Join(dir, name), 1+i)
	}
	require.EqualValues(t, 1+2, f.collect().Total("n"))
}

func TestAFileOfSeveralNamesIsAttachedToOnce(t *testing.T) {
	dir := t.TempDir()
	copied(t, "target", dir+"/a")
	require.NoError(t, os.Symlink("a", dir+"/symbolic"))
	require.NoError(t, os.Link(dir+"/a", dir+"/hard"))
	f := start(t, at(dir+"/*"))
	require.Len(t, f.probes[0].files, 1)
	for _, name := range []string{"a", "symbolic", "hard"} {
		pid := work(t, filepath.Join(dir, name), 5)
		require.EqualValues(t, 5, of(f.collect(), pid).Counters["n"])
	}
}

func TestHostAFileThatAppearsLaterIsAttachedTo(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir + "/later", dir + "/l*"} {
		f := start(t, at(path))
		require.Empty(t, f.collect().Processes)
		copied(t, "target", dir+"/later")
		f.lookAgain()
		f.collect()
		work(t, dir+"/later", 3)
		require.EqualValues(t, 3, only(t, f.collect()).Counters["n"])
		require.NoError(t, os.Remove(dir+"/later"))
	}
}

func TestHostAFileThatIsNotThereIsMentioned(t *testing.T) {
	f := start(t, at(t.TempDir()+"/nowhere"))
	f.lookAgain()
	f.collect()
	require.Len(t, f.logs.FilterMessageSnippet("no file").All(), 1)
}

func TestAFileReplacedWhileItRunsIsStillCountedAsIsTheNewOne(t *testing.T) {
	path := t.TempDir() + "/app"
	copied(t, "target", path)
	f := start(t, at(path))
	old := spawnCommand(t, exec.Command(path, "work", "1", "wait", "0", "work", "1", "wait", "0", "work", "1", "wait", "0"))
	copied(t, "target-fixed", path)
	for range unmappedLooks + 1 {
		f.lookAgain()
		f.collect()
	}
	work(t, path, 7)
	old.goOn()
	r := f.collect()
	assert.EqualValues(t, 2, of(r, old.pid).Counters["n"])
	assert.EqualValues(t, 9, r.Total("n"))
	require.Len(t, f.probes[0].files, 2)
	old.finish()
	for range unmappedLooks {
		f.lookAgain()
		f.collect()
	}
	assert.Len(t, f.probes[0].files, 1, "nobody runs it any more")
	pid := work(t, path, 7)
	assert.EqualValues(t, 7, of(f.collect(), pid).Counters["n"])
}

func TestAFileRewrittenInPlaceIsAttachedToAgain(t *testing.T) {
	path := t.TempDir() + "/app"
	copied(t, "target", path)
	f := start(t, at(path))
	work(t, path, 1)
	b, err := os.ReadFile(program("target-static"))
	require.NoError(t, err)
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	require.NoError(t, err)
	_, err = out.Write(b)
	require.NoError(t, err)
	require.NoError(t, out.Close())
	f.lookAgain()
	f.collect()
	pid := work(t, path, 7)
	require.EqualValues(t, 7, of(f.collect(), pid).Counters["n"])
}

func TestHostWrongFilesAreRefusedAndHarmNoOther(t *testing.T) {
	dir := t.TempDir()
	elf, err := os.ReadFile(program("target"))
	require.NoError(t, err)
	for name, b := range map[string][]byte{"text": []byte("#!/bin/sh\n"), "empty": nil, "header": elf[:64], "half": elf[:len(elf)/2]} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o755))
	}
	require.NoError(t, os.Mkdir(dir+"/folder", 0o755))
	require.NoError(t, unix.Mkfifo(dir+"/fifo", 0o644))
	require.NoError(t, unix.Mknod(dir+"/device", unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5))))
	require.NoError(t, os.Symlink("loop", dir+"/loop"))
	names, err := filepath.Glob(dir + "/*")
	require.NoError(t, err)
	for _, name := range names {
		said := refused(t, at(name)+at(program("target")))
		assert.Contains(t, said, name)
		assert.Contains(t, said, "probes::0")
	}
	copied(t, "target", dir+"/z")
	f := start(t, at(dir+"/*"))
	work(t, dir+"/z", 3)
	require.EqualValues(t, 3, only(t, f.collect()).Counters["n"])
	warned := len(f.logs.FilterMessageSnippet("Cannot attach").All())
	f.lookAgain()
	f.collect()
	assert.Len(t, f.logs.FilterMessageSnippet("Cannot attach").All(), warned, "once")
}

func TestHostSymbolsThatCannotBeProbed(t *testing.T) {
	for _, c := range []struct{ symbol, says string }{
		{"do_worc", "do_work"},
		{"sink", "data"},
		{"usleep", "imported"},
		{"stepped", "single_step: true"},
		{"do_work, offset: 2", "instruction"},
		{"do_work, offset: 100000", "bytes"},
	} {
		assert.Contains(t, refused(t, strings.Replace(at(program("target")), "do_work", c.symbol, 1)), c.says, c.symbol)
	}
	assert.Contains(t, refused(t, strings.Replace(at(program("cart")), "do_work", "'shop::Cart::ad'", 1)), "add")
}

func TestHostAnOffsetIntoAFunction(t *testing.T) {
	f := start(t, strings.Replace(at(program("target")), "do_work", "do_work, offset: 1", 1)+"  single_step: true\n")
	work(t, program("target"), 3)
	require.EqualValues(t, 3, only(t, f.collect()).Counters["n"])
}
