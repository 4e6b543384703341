//go:build linux

package userevent

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOpenSaysWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	unmounted := filepath.Join(dir, "unmounted")
	without := filepath.Join(dir, "without")
	with := filepath.Join(dir, "with")
	for _, path := range []string{unmounted, without, with} {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{without + "/trace", with + "/user_events_data"} {
		if err := os.WriteFile(path, nil, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	defer func(before []string) { mounts = before }(mounts)

	mounts = []string{unmounted, dir + "/nowhere"}
	if _, err := Open(); !errors.Is(err, ErrNotMounted) {
		t.Errorf("without tracefs: %v", err)
	}
	mounts = []string{unmounted, without}
	if _, err := Open(); !errors.Is(err, ErrUnsupported) {
		t.Errorf("without user_events: %v", err)
	}
	mounts = []string{unmounted, with}
	fd, err := Open()
	if err != nil {
		t.Fatalf("with user_events: %v", err)
	}
	defer unix.Close(fd)
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the descriptor's flags are %#x, %v", flags, err)
	}
}

func TestOpenSaysWhoIsNotAllowed(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to be another user for a moment")
	}
	dir := filepath.Join("/dev/shm", "hotpath-go-"+filepath.Base(t.TempDir())+t.Name())
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(dir+"/user_events_data", nil, 0o640); err != nil {
		t.Fatal(err)
	}
	defer func(before []string) { mounts = before }(mounts)
	mounts = []string{dir}

	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with its rights
		_ = unix.Setfsuid(65534)
		_, err := Open()
		failed <- err
	}()
	if err := <-failed; !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), "chgrp") {
		t.Errorf("an unprivileged user gets %v", err)
	}
}
