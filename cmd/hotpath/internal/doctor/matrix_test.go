package doctor

import (
	"bytes"
	"encoding/json"
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

// places are those of one test.
type places struct{ folder, shm, instance, socket, config string }

// newPlaces makes a folder that everybody may use, on tmpfs, and a configuration of four receivers in it.
func newPlaces(t *testing.T) places {
	t.Helper()
	folder, err := os.MkdirTemp("/dev/shm", "hotpath-doctor-test-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	require.NoError(t, os.Chmod(folder, 0o777|os.ModeSticky))
	return placesIn(t, folder)
}

func placesIn(t *testing.T, folder string) places {
	t.Helper()
	files, err := os.MkdirTemp("/tmp", "hotpath-doctor-test-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(files) })
	require.NoError(t, os.Chmod(files, 0o777|os.ModeSticky))
	p := places{folder, filepath.Join(folder, "segments"), fmt.Sprintf("hotpath_test_%d", os.Getpid()), filepath.Join(files, "run", "s"), ""}
	p.config = filepath.Join(files, "collector.yaml")
	p.write(t, fmt.Sprintf(`receivers:
  hotpath/shm: {shm: {directory: %q}}
  hotpath/user_events: {user_events: {instance: %s}}
  hotpath/bpf: {bpf: {}}
  hotpath/io_uring: {io_uring: {socket: %q}}
`, p.shm, p.instance, p.socket))
	return p
}

func (p places) write(t *testing.T, yaml string) {
	t.Helper()
	require.NoError(t, os.WriteFile(p.config, []byte(yaml), 0o644))
}

// outcome is what doctor printed and ended with.
type outcome struct {
	Report
	out, err string
	status   int
}

// doctor runs it, under what confines it.
func doctor(t *testing.T, confinement []string, args ...string) outcome {
	t.Helper()
	timeout := 2 * patience()
	if slow() {
		timeout = 6 * patience()
	}
	args = append([]string{"doctor", "--timeout", timeout.String()}, args...)
	o := outcome{}
	o.out, o.err, o.status = runConfined(t, confinement, args...)
	if len(args) > 3 && args[3] == "--json" && o.status < 64 {
		require.NoError(t, json.Unmarshal([]byte(o.out), &o.Report), o.out)
	}
	return o
}

func runConfined(t *testing.T, confinement []string, args ...string) (out, errors string, status int) {
	t.Helper()
	all := append(append(append([]string{"confined"}, confinement...), "--"), args...)
	cmd := exec.Command("/proc/self/exe", all...)
	cmd.Env = append(clean(os.Environ()), "GOCOVERDIR="+os.TempDir())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	require.NotEqual(t, 99, cmd.ProcessState.ExitCode(), stderr.String())
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// compare has doctor and reality judge the same under the same confinement, and returns what doctor said.
func compare(t *testing.T, p places, confinement ...string) outcome {
	t.Helper()
	o := doctor(t, confinement, "--json", "--config", p.config, "--dir", p.shm)
	out, trouble, status := runConfined(t, confinement, "reality", p.config)
	require.Zero(t, status, trouble)
	var facts map[string]fact
	require.NoError(t, json.Unmarshal([]byte(out), &facts), out)
	require.Len(t, o.Config, len(facts))
	works := 0
	for _, a := range o.Config {
		fact := facts[a.Source]
		assert.Equal(t, fact.Delivered, a.Available, "%s: doctor says %q, reality %q", a.Source, a.Reason, fact.Error)
		assert.NotEmpty(t, a.Reason, a.Source)
		if !a.Available {
			assert.NotEmpty(t, a.Fix, "%s: %s", a.Source, a.Reason)
			if began, ok := strings.CutPrefix(fact.Error, "start source "+a.Source+": "); ok {
				assert.Equal(t, began, a.Reason, "the sentence that the source itself says")
			}
		}
	}
	for name, v := range o.Sources {
		if v.Available {
			works++
		}
		if name != uringName { // whose default socket is elsewhere
			assert.Equal(t, facts[name].Delivered, v.Available, "%s: %s", name, v.Reason)
		}
	}
	t.Log(o.summary())
	return o
}

func (o outcome) summary() string {
	var b strings.Builder
	for _, a := range o.Config {
		fmt.Fprintf(&b, "\n%-12s %-5v %s\n%18s -> %s", a.Source, a.Available, a.Reason, "", a.Fix)
	}
	for name, v := range o.Clients {
		fmt.Fprintf(&b, "\nclient %-12s %-5v %s\n%18s -> %s", name, v.Available, v.Reason, "", v.Fix)
	}
	return b.String()
}

// verdict is about one source of the configuration.
func (o outcome) verdict(source string) Verdict {
	for _, a := range o.Config {
		if a.Source == source {
			return a.Verdict
		}
	}
	return Verdict{}
}

func needRoot(t *testing.T) {
	t.Helper()
	require.Zero(t, os.Geteuid(), "run the tests as root: they take rights away")
}

func refused(call int, errno unix.Errno) string { return fmt.Sprintf("refuse=%d:%d", call, errno) }

func TestVerdictOfRootIsReality(t *testing.T) {
	needRoot(t)
	o := compare(t, newPlaces(t))
	for _, source := range []string{shmName, bpfName, uringName} {
		assert.True(t, o.verdict(source).Available, source)
	}
}

func TestVerdictOfNobodyIsReality(t *testing.T) {
	needRoot(t)
	o := compare(t, newPlaces(t), "uid=65534")
	assert.True(t, o.verdict(shmName).Available)
	assert.True(t, o.verdict(uringName).Available, "its own clients'")
	assert.Contains(t, o.verdict(bpfName).Reason, "CAP_BPF")
	assert.Contains(t, strings.ToLower(o.verdict(bpfName).Fix), "bpf")
	assert.True(t, o.Clients[shmName].Available)
	assert.True(t, o.Clients[bpfName].Available)
	assert.Equal(t, 2, o.status)
}

func TestVerdictWithoutEachCapabilityIsReality(t *testing.T) {
	needRoot(t)
	const admin = unix.CAP_SYS_ADMIN
	for name, without := range map[string][]int{
		"chown": {unix.CAP_CHOWN}, "fowner": {unix.CAP_FOWNER}, "fsetid": {unix.CAP_FSETID},
		"dac_override":    {unix.CAP_DAC_OVERRIDE},
		"dac_read_search": {unix.CAP_DAC_READ_SEARCH, unix.CAP_DAC_OVERRIDE},
		"kill":            {unix.CAP_KILL}, "setpcap": {unix.CAP_SETPCAP}, "ipc_lock": {unix.CAP_IPC_LOCK},
		"sys_ptrace": {unix.CAP_SYS_PTRACE}, "sys_admin": {admin}, "sys_resource": {unix.CAP_SYS_RESOURCE},
		"perfmon": {unix.CAP_PERFMON, admin}, "bpf": {unix.CAP_BPF, admin}, "checkpoint_restore": {unix.CAP_CHECKPOINT_RESTORE, admin},
		"all": capabilities(),
	} {
		t.Run(name, func(t *testing.T) {
			var drop []string
			for _, c := range without {
				drop = append(drop, fmt.Sprintf("drop=%d", c))
			}
			o := compare(t, newPlaces(t), drop...)
			if name == "bpf" || name == "perfmon" {
				assert.False(t, o.verdict(bpfName).Available)
				assert.Contains(t, strings.ToLower(o.verdict(bpfName).Fix), name)
			}
		})
	}
}

func capabilities() (all []int) {
	for c := 0; c <= unix.CAP_LAST_CAP; c++ {
		all = append(all, c)
	}
	return all
}

func TestVerdictOfNobodyWithCapabilitiesIsReality(t *testing.T) {
	needRoot(t)
	for name, with := range map[string][]int{
		"bpf":   {unix.CAP_BPF, unix.CAP_PERFMON},
		"reach": {unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_PTRACE},
		"uring": {unix.CAP_SYS_PTRACE},
		"trace": {unix.CAP_DAC_OVERRIDE},
	} {
		t.Run(name, func(t *testing.T) {
			var list []string
			for _, c := range with {
				list = append(list, fmt.Sprint(c))
			}
			o := compare(t, newPlaces(t), "caps="+strings.Join(list, ","))
			switch v := o.verdict(bpfName); name {
			case "bpf", "reach":
				assert.True(t, v.Available, v.Reason)
				assert.NotEmpty(t, v.Notes, "of what is missing for other users' processes")
			}
		})
	}
}

func TestVerdictUnderSeccompIsReality(t *testing.T) {
	needRoot(t)
	for name, c := range map[string]struct {
		filters []string
		off     string
		fix     string
	}{
		"io_uring_setup":   {[]string{refused(unix.SYS_IO_URING_SETUP, unix.EPERM)}, uringName, "io_uring_setup"},
		"io_uring, hidden": {[]string{refused(unix.SYS_IO_URING_SETUP, unix.ENOSYS)}, uringName, "io_uring_setup"},
		"bpf":              {[]string{refused(unix.SYS_BPF, unix.EPERM)}, bpfName, "seccomp"},
		"pidfd_getfd":      {[]string{refused(unix.SYS_PIDFD_GETFD, unix.EPERM)}, uringName, "pidfd_getfd"},
		"memfd_create":     {[]string{refused(unix.SYS_MEMFD_CREATE, unix.EPERM)}, bpfName, "memfd_create"},
		"inotify":          {[]string{refused(unix.SYS_INOTIFY_INIT1, unix.EPERM)}, "", ""},
		"perf_event_open":  {[]string{refused(unix.SYS_PERF_EVENT_OPEN, unix.EPERM)}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := compare(t, newPlaces(t), c.filters...)
			assert.True(t, o.verdict(shmName).Available)
			if c.off != "" {
				assert.False(t, o.verdict(c.off).Available, c.off)
				assert.Contains(t, o.verdict(c.off).Fix, c.fix)
			}
		})
	}
}

func TestVerdictInNamespacesIsReality(t *testing.T) {
	needRoot(t)
	for name, c := range map[string]struct{ flags, fix string }{
		"pids":             {"--pid --fork --mount-proc --kill-child", "--pid=host"},
		"users":            {"--user --map-root-user", "user namespace"},
		"users, and pids":  {"--user --map-root-user --pid --fork --mount-proc --kill-child", "--pid=host"},
		"network, and ipc": {"--net --ipc", ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := compare(t, newPlaces(t), "unshare="+c.flags)
			assert.Equal(t, c.fix == "", o.verdict(bpfName).Available)
			assert.Contains(t, o.verdict(bpfName).Fix, c.fix)
		})
	}
}

func TestVerdictWithinLimitsIsReality(t *testing.T) {
	needRoot(t)
	for name, limit := range map[string]string{
		"descriptors": fmt.Sprintf("limit=%d:64", unix.RLIMIT_NOFILE),
		"files":       fmt.Sprintf("limit=%d:4096", unix.RLIMIT_FSIZE),
		"memlock":     fmt.Sprintf("limit=%d:0", unix.RLIMIT_MEMLOCK),
	} {
		t.Run(name, func(t *testing.T) { compare(t, newPlaces(t), limit) })
	}
}

func TestVerdictOfDirectoriesIsReality(t *testing.T) {
	needRoot(t)
	disk := func(t *testing.T) places {
		folder := t.TempDir()
		return placesIn(t, folder)
	}
	for name, c := range map[string]struct {
		places      func(*testing.T) places
		confinement func(places) []string
		works       bool
		client      bool
		fix         string
	}{
		"on a disk, missing": {disk, func(places) []string { return nil }, true, false, "install -d"},
		"on a disk":          {disk, func(p places) []string { return []string{"make=" + p.shm + ":1777"} }, true, true, ""},
		"no tmpfs": {newPlaces, func(places) []string {
			return []string{"mounts", "umount=/dev/shm", "uid=65534"}
		}, false, false, "install -d"},
		"read-only": {newPlaces, func(p places) []string {
			return []string{"mounts", "tmpfs=" + p.folder + ":mode=1777", "readonly=" + p.folder}
		}, false, false, "remount,rw"},
		"full": {newPlaces, func(p places) []string {
			return []string{"mounts", "tmpfs=" + p.folder + ":size=8m,mode=1777", "fill=" + p.folder}
		}, false, false, "size="},
		"not the user's": {newPlaces, func(p places) []string {
			return []string{"make=" + p.shm + ":0755", "uid=65534"}
		}, false, false, "install -d -m 1777"},
		"full of files": {newPlaces, func(p places) []string {
			require.NoError(t, os.Mkdir(p.shm, 0o777))
			for i := range 8192 {
				require.NoError(t, os.WriteFile(filepath.Join(p.shm, fmt.Sprint(i)), nil, 0o600))
			}
			return nil
		}, false, false, "start a Collector"},
		"a file in its place": {newPlaces, func(p places) []string {
			require.NoError(t, os.WriteFile(p.shm, nil, 0o600))
			return nil
		}, false, false, "rm "},
		"a symbolic link": {newPlaces, func(p places) []string {
			require.NoError(t, os.Symlink("/dev/shm", p.shm))
			return nil
		}, false, false, "rm "},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.places(t)
			confinement := c.confinement(p)
			o := compare(t, p, once(confinement)...)
			assert.Equal(t, c.works, o.verdict(shmName).Available, o.verdict(shmName).Reason)
			assert.Equal(t, c.client, o.Clients[shmName].Available, o.Clients[shmName].Reason)
			if c.fix != "" && !c.works {
				assert.Contains(t, o.verdict(shmName).Fix, c.fix)
			}
			if c.fix != "" {
				assert.Contains(t, o.Clients[shmName].Fix, c.fix)
			}
		})
	}
}

// once makes directories here, so that both doctor and reality find them.
func once(confinement []string) (rest []string) {
	for _, step := range confinement {
		if made, ok := strings.CutPrefix(step, "make="); ok {
			path, mode, _ := strings.Cut(made, ":")
			_ = os.Mkdir(path, 0o755)
			_ = os.Chmod(path, os.FileMode(octal(mode)))
			continue
		}
		rest = append(rest, step)
	}
	return rest
}
