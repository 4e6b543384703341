package probe

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const nobody = 65534

func as(uid uint32, cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return cmd
}

func TestOnlyHitsOfAnExecutable(t *testing.T) {
	for _, mode := range []string{modeAggregate, modeEvents} {
		f := start(t, `
- metric: {name: n, type: counter}
  uprobe: {binary: '${libwork.so}', symbol: shared_work}
  filter: {executable: caller2}
  mode: `+mode+`
`)
		run(t, "caller", "3")
		run(t, "caller2", "5")
		p := only(t, f.collect())
		assert.Equal(t, "caller2", p.Resource["process.executable.name"])
		assert.EqualValues(t, 5, p.Counters["n"])
		assert.Empty(t, f.tel.skipped)
	}
}

func TestHostOnlyReturnsOfAnExecutable(t *testing.T) {
	f := start(t, `
- metric: {name: n, type: counter}
  uprobe: {binary: '${libwork.so}', symbol: shared_work}
  filter: {executable: caller2}
  attributes: {r: {return: true, type: s32}}
`)
	run(t, "caller", "3")
	run(t, "caller2", "1")
	assert.Equal(t, map[string]uint64{"n{r=0}": 1}, only(t, f.collect()).Counters)
	assert.Empty(t, f.tel.skipped)
}

func TestHostExecutablesWithLongNames(t *testing.T) {
	dir := t.TempDir()
	name := strings.Repeat("n", maxExecutable)
	for _, n := range []string{name, name[1:]} {
		copied(t, "target", filepath.Join(dir, n))
	}
	f := start(t, at(dir+"/*")+"  filter: {executable: "+name+"}\n")
	work(t, filepath.Join(dir, name[1:]), 1)
	work(t, filepath.Join(dir, name), 2)
	require.EqualValues(t, 2, only(t, f.collect()).Counters["n"])
}

func TestOnlyHitsOfAUser(t *testing.T) {
	probe := func(name string, uid int) string {
		return fmt.Sprintf("- metric: {name: %s, type: counter}\n  uprobe: {binary: '${target}', symbol: do_work}\n  filter: {uid: %d}\n", name, uid)
	}
	f := start(t, probe("root", 0)+probe("nobody", nobody))
	require.NoError(t, exec.Command(program("target"), "work", "3").Run())
	require.NoError(t, as(nobody, exec.Command(program("target"), "work", "5")).Run())
	counters := map[string]map[string]uint64{}
	for _, p := range f.collect().Processes {
		counters[p.Resource["process.user.id"]] = p.Counters
	}
	require.Equal(t, map[string]map[string]uint64{"0": {"root": 3}, "65534": {"nobody": 5}}, counters)
}

func TestHostAllFiltersHaveToAgree(t *testing.T) {
	f := start(t, `
- metric: {name: n, type: counter}
  uprobe: {binary: '${libwork.so}', symbol: shared_work}
  filter: {executable: caller2, uid: 65534}
`)
	run(t, "caller2", "1")
	require.NoError(t, as(nobody, exec.Command(program("caller"), "2")).Run())
	require.NoError(t, as(nobody, exec.Command(program("caller2"), "4")).Run())
	require.EqualValues(t, 4, only(t, f.collect()).Counters["n"])
}

// group makes a cgroup. What is in it ends before it is removed.
func group(t *testing.T, name string) string {
	t.Helper()
	mounts, err := os.Open("/proc/self/mountinfo")
	require.NoError(t, err)
	defer mounts.Close()
	root, err := cgroupRoot(mounts)
	if err != nil {
		root = t.TempDir()
		require.NoError(t, unix.Mount("cgroup2", root, "cgroup2", 0, ""))
		t.Cleanup(func() { assert.NoError(t, unix.Unmount(root, unix.MNT_DETACH)) })
	}
	path := filepath.Join(root, name)
	require.NoError(t, os.MkdirAll(path, 0o755))
	t.Cleanup(func() { _ = os.Remove(path) })
	return path
}

func in(t *testing.T, cgroup string, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	dir, err := os.Open(cgroup)
	require.NoError(t, err)
	t.Cleanup(func() { dir.Close() })
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	return cmd
}

func TestOnlyHitsOfACgroupAndThoseBelow(t *testing.T) {
	need(t)
	outer := group(t, "hotpath-test")
	inner, other := group(t, "hotpath-test/inner"), group(t, "hotpath-test-other")
	f := start(t, `
- metric: {name: n, type: counter}
  uprobe: {binary: '${target}', symbol: do_work}
  filter: {cgroup: /hotpath-test}
- metric: {name: d, type: histogram}
  uprobe: {binary: '${target}', symbol: do_work}
  value: duration
  filter: {cgroup: hotpath-test/inner}
`)
	run(t, "target", "work", "1")
	for i, path := range []string{outer, inner, other} {
		require.NoError(t, in(t, path, exec.Command(program("target"), "work", fmt.Sprint(10+i))).Run())
	}
	r := f.collect()
	require.Len(t, r.Processes, 2)
	assert.EqualValues(t, 21, r.Total("n"))
	assert.Len(t, r.Find("d"), 1)
	assert.EqualValues(t, 11, r.Find("d")[0].Histograms["d"].Count)
}

func TestTheContainerIsThatOfTheCgroupEvenOfAProcessThatHasEnded(t *testing.T) {
	need(t)
	id := strings.Repeat("0123456789abcdef", 4)
	path := group(t, "docker-"+id+".scope")
	f := start(t, at(program("target")))
	require.NoError(t, in(t, path, exec.Command(program("target"), "work", "1")).Run())
	require.Equal(t, id, only(t, f.collect()).Resource["container.id"])
}

func TestACgroupThatIsMadeLaterAndMadeAgain(t *testing.T) {
	need(t)
	path := group(t, "hotpath-later")
	require.NoError(t, os.Remove(path))
	f := start(t, `
- metric: {name: n, type: counter}
  uprobe: {binary: '${target}', symbol: do_work}
  filter: {cgroup: hotpath-later}
`)
	require.Len(t, f.logs.FilterMessageSnippet("until there is the cgroup").All(), 1)
	run(t, "target", "work", "1")
	require.Empty(t, f.collect().Processes)
	for range 2 {
		require.NoError(t, os.Mkdir(path, 0o755))
		f.lookAgain()
		f.collect()
		p := in(t, path, exec.Command(program("target"), "work", "7"))
		require.NoError(t, p.Run())
		require.EqualValues(t, 7, of(f.collect(), p.Process.Pid).Counters["n"])
		require.NoError(t, os.Remove(path))
		f.lookAgain()
		f.collect()
		run(t, "target", "work", "1")
		require.Empty(t, f.collect().Processes)
	}
	require.Len(t, f.logs.FilterMessageSnippet("until there is the cgroup").All(), 3)
}

func TestWhereCgroupsAreMounted(t *testing.T) {
	for mounts, want := range map[string]string{
		"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n":                        "/sys/fs/cgroup/unified",
		"1 2 0:3 /below /a rw - cgroup2 x rw\n4 2 0:3 / /b\\040c rw shared:1 master:2 - cgroup2 x rw\n": "/b c",
		"1 2 0:3 / /a\\04 rw - cgroup2 x rw\n":                                                          "/a\\04",
		"1 2 0:3 / /sys/fs/cgroup rw - cgroup cgroup2 rw\n":                                             "",
		"x\n - cgroup2 \n": "",
	} {
		got, err := cgroupRoot(strings.NewReader(mounts))
		assert.Equal(t, want, got, mounts)
		assert.Equal(t, want == "", err != nil, mounts)
	}
}
