//go:build linux && (amd64 || arm64)

package hotpath

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// lifted is a descriptor's number after its file was lifted.
func lifted(t *testing.T, fd int) int {
	t.Helper()
	f, err := newOpenFile(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.lift(); err != nil {
		t.Error(err)
	}
	return f.fd
}

func TestTheDescriptorsNumberIsHighAndNotInherited(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	}()
	for _, test := range []struct{ limit, from, to uint64 }{
		{256, 240, 255},
		{1024, 960, 1023},
		{min(limit.Max, 1<<20), 3840, 4095},
	} {
		if test.limit > limit.Max || test.to >= test.limit {
			t.Skipf("needs a limit of %d files", test.to+1)
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: test.limit, Max: limit.Max}); err != nil {
			t.Fatal(err)
		}
		low, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fd := lifted(t, low)
		if n := uint64(fd); n < test.from || n > test.to {
			t.Errorf("of %d numbers it got %d", test.limit, n)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("the descriptor's flags are %#x, %v", flags, err)
		}
		if _, err := unix.FcntlInt(uintptr(low), unix.F_GETFD, 0); err != unix.EBADF {
			t.Errorf("the low number is still open: %v", err)
		}
		unix.Close(fd)
	}
}

func TestTheDescriptorKeepsItsNumberWhereNoHighOneIsAllowed(t *testing.T) {
	low, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(low)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	fd := lifted(t, low)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if fd != low {
		t.Errorf("the number is %d, want %d", fd, low)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		t.Error(err)
	}
}

func TestADescriptorThatWasClosedAndOpenedAgainIsLeftAlone(t *testing.T) {
	open := func(path string) int {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	f, err := newOpenFile(open("/dev/null"))
	if err != nil {
		t.Fatal(err)
	}
	other := open("/dev/zero")
	defer unix.Close(other)
	if err := unix.Dup3(other, f.fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(f.fd)
	number, before := f.fd, descriptors(t)
	f.close()
	if err := f.lift(); !errors.Is(err, unix.EBADF) {
		t.Errorf("lifting another's file: %v, want %v", err, unix.EBADF)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
	if _, err := unix.FcntlInt(uintptr(number), unix.F_GETFD, 0); err != nil {
		t.Errorf("another's file was closed: %v", err)
	}
}
