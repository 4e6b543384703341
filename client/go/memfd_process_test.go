//go:build linux && (amd64 || arm64)

package hotpath

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

func init() {
	children["with a call refused"] = func() {
		var call, argument, value uint32
		var errno int
		_, err := fmt.Sscan(os.Getenv("REFUSE"), &call, &argument, &value, &errno)
		must(err)
		must(refuse(call, argument, value, unix.Errno(errno)))
		countAndTell()
		waitForEnd()
	}
	children["forbid executable memfds"] = func() {
		err := os.WriteFile("/proc/sys/vm/memfd_noexec", []byte("2"), 0)
		if err == nil {
			if fd, made := unix.MemfdCreate("test", unix.MFD_EXEC); made == nil {
				unix.Close(fd)
				err = errors.New("vm.memfd_noexec=2 forbids nothing")
			}
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println()
		countAndTell()
		waitForEnd()
	}
	children["echo"] = func() {
		fmt.Println("here")
		var line string
		for {
			if _, err := fmt.Scanln(&line); err != nil {
				return
			}
			fmt.Println(line)
		}
	}
	children["leave a child"] = func() {
		NewCounter("count").Add(5)
		c := command("echo", nil)
		c.Stdin, c.Stdout = os.Stdin, os.Stdout
		if os.Getenv("LEAVE") == "fork" { // with a copy of the memory, as long as it takes to execute
			c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
		}
		if err := c.Start(); err != nil {
			fmt.Println(err)
			return
		}
		must(c.Wait())
	}
	children["execute a program"] = func() {
		NewCounter("count").Add(5)
		fmt.Println()
		var line string
		_, err := fmt.Scanln(&line)
		must(err)
		must(os.Setenv(childVariable, "echo"))
		must(unix.Exec(os.Args[0], os.Args, os.Environ()))
	}
}

func TestAMemfdWorksInAContainer(t *testing.T) {
	c := command("count and wait", asMemfd)
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getgid(), Size: 1}},
	}
	c.begin(t)
	c.line(t)
	p := read(t, held(t, c.Process.Pid))
	if p.field(segment.OffPID) != 1 || p.series["count"].words[0] != 5 {
		t.Errorf("pid %d counted %d", p.field(segment.OffPID), p.series["count"].words[0])
	}
	c.end(t)
}

func TestAMemfdIsMadeWhereExecutableOnesAreForbidden(t *testing.T) {
	c := command("forbid executable memfds", asMemfd)
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID} // of which vm.memfd_noexec is
	c.begin(t)
	if s := c.line(t); s != "" {
		t.Skip("needs root and Linux 6.6: ", s)
	}
	if s := c.line(t); !strings.Contains(s, "publishes 3 series as a memfd") {
		t.Errorf("status is %q", s)
	}
	c.end(t)
}

func TestWithoutAMemfdCountingIsPrivate(t *testing.T) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING | unix.MFD_NOEXEC_SEAL
	for _, c := range []struct {
		call, argument, value int
		errno                 unix.Errno
		want                  string
	}{
		{unix.SYS_MEMFD_CREATE, 1, flags, unix.ENOSYS, `counts 3 series in private memory, [^(]*\(create a memfd: function not implemented; a seccomp filter may forbid memfd_create\)`},
		{unix.SYS_MEMFD_CREATE, 1, flags, unix.EPERM, `counts 3 series in private memory, [^(]*\(create a memfd: operation not permitted; a seccomp filter may forbid memfd_create\)`},
		{unix.SYS_MEMFD_CREATE, 1, flags, unix.EMFILE, `counts 3 series in private memory, [^(]*\(create a memfd: too many open files\)`},
		{unix.SYS_MEMFD_CREATE, 1, flags, unix.EINVAL, `publishes 3 series as a memfd`}, // as before Linux 6.3
		{unix.SYS_FCNTL, 1, unix.F_ADD_SEALS, unix.EINVAL, `counts 3 series in private memory, [^(]*\(seal the memfd, which takes Linux 5.1: invalid argument\)`},
		{unix.SYS_FLOCK, 1, unix.LOCK_EX | unix.LOCK_NB, unix.ENOLCK, `counts 3 series in private memory, [^(]*\(lock the segment: no locks available\)`},
		{unix.SYS_PRCTL, 0, unix.PR_SET_NAME, unix.EPERM, `publishes 3 series as a memfd`},
		{unix.SYS_FCNTL, 1, unix.F_DUPFD_CLOEXEC, unix.EMFILE, `publishes 3 series as a memfd`},
	} {
		p := start(t, "with a call refused", map[string]string{
			"HOTPATH_TRANSPORT": "bpf", "REFUSE": fmt.Sprint(c.call, c.argument, c.value, int(c.errno)),
		})
		s := p.line(t)
		if !matches(s, c.want) {
			t.Errorf("%v by call %d: status is %q, want %q", c.errno, c.call, s, c.want)
		}
		if published := strings.Contains(s, "publishes"); published != (len(memfds(t, p.Process.Pid)) == 1) {
			t.Errorf("%v by call %d: the memfds are %v", c.errno, c.call, memfds(t, p.Process.Pid))
		}
		p.end(t)
	}
}

func TestTheLockIsFreeThoughChildrenOutliveTheProcess(t *testing.T) {
	for _, how := range []string{"vfork", "fork"} {
		t.Run(how, func(t *testing.T) {
			c := start(t, "leave a child", map[string]string{"HOTPATH_TRANSPORT": "bpf", "LEAVE": how})
			switch s := c.line(t); {
			case s == "here":
			case how == "fork":
				t.Skip("needs user namespaces: ", s)
			default:
				t.Fatal("the grandchild says ", s)
			}
			path := held(t, c.Process.Pid)
			if !locked(t, path) {
				t.Error("the memfd of a live process is not locked")
			}
			if err := c.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Process.Wait(); err != nil {
				t.Fatal(err)
			}
			if locked(t, path) {
				t.Error("the memfd of a dead process is locked")
			}
			if n := read(t, path).series["count"].words[0]; n != 5 {
				t.Errorf("counter is %d", n)
			}
			fmt.Fprintln(c.in, "alive")
			if s := c.line(t); s != "alive" {
				t.Errorf("the grandchild says %q", s)
			}
		})
	}
}

func TestNothingOfAMemfdIsLeftWhenTheProcessExecutesAProgram(t *testing.T) {
	c := start(t, "execute a program", asMemfd)
	c.line(t)
	path := held(t, c.Process.Pid)
	if !locked(t, path) {
		t.Error("the memfd of a live process is not locked")
	}
	fmt.Fprintln(c.in, "go")
	if s := c.line(t); s != "here" {
		t.Fatalf("the program says %q", s)
	}
	if locked(t, path) {
		t.Error("the lock is still held")
	}
	if paths := memfds(t, c.Process.Pid); len(paths) != 0 {
		t.Errorf("the program has %v", paths)
	}
	if n := read(t, path).series["count"].words[0]; n != 5 {
		t.Errorf("counter is %d", n)
	}
	c.end(t)
}
