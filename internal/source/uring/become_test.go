package uring

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/source/uring/uringtest"
)

func init() {
	roles["become"] = become
	roles["privileged"] = privileged
	roles["speak"] = speak
}

// become connects, leaves the socket to a child, and executes a program that is another user's when it runs.
func become(args []string) error {
	c, err := uringtest.Dial(args[0])
	if err != nil {
		return err
	}
	child := command("speak")
	child.ExtraFiles = []*os.File{os.NewFile(uintptr(c.Socket), "socket")}
	child.Stdin, child.Stdout = os.Stdin, os.Stdout
	if err := child.Start(); err != nil {
		return err
	}
	return unix.Exec(args[1], []string{"privileged"}, []string{roleEnv + "=privileged", argsEnv + "=" + fmt.Sprint(c.Entries)})
}

// privileged has a ring of its own.
func privileged(args []string) error {
	var entries uint32
	if _, err := fmt.Sscan(args[0], &entries); err != nil {
		return err
	}
	r, err := uringtest.NewRing(1, entries, 0)
	if err != nil {
		return err
	}
	fmt.Println("user", os.Geteuid(), "ring", r.FD)
	time.Sleep(time.Minute)
	return nil
}

// speak says hello for its parent, with a descriptor that it is told.
func speak([]string) error {
	h := me()
	if _, err := fmt.Scan(&h.Ring); err != nil {
		return err
	}
	c := &uringtest.Client{Socket: 3}
	if err := c.Say(h, requests); err != nil {
		return err
	}
	fmt.Println("it has the ring")
	return nil
}

// Who connects may execute a set-user-ID program and have a child speak for it: the rings of that program are not his.
func TestRingOfAProcessThatBecameAnotherUsersIsNotTaken(t *testing.T) {
	f := setUp(t)
	program := filepath.Join(filepath.Dir(f.cfg.Socket), "program")
	own, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(program, own, 0o755))
	require.NoError(t, os.Chmod(program, 0o755|os.ModeSetuid))
	var fs unix.Statfs_t
	require.NoError(t, unix.Statfs(program, &fs))
	if fs.Flags&unix.ST_NOSUID != 0 {
		t.Skip("set-user-ID programs are not allowed there")
	}
	p := siblingAs(t, 65534, "become", f.cfg.Socket, program)
	line, err := p.out.ReadString('\n')
	require.NoError(t, err)
	var user, ring int
	_, err = fmt.Sscanf(line, "user %d ring %d", &user, &ring)
	require.NoError(t, err, line)
	require.Zero(t, user)
	_, err = fmt.Fprintln(p.in, ring)
	require.NoError(t, err)
	p.expect("is another user's by now")
}
