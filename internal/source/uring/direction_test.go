package uring

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/source/uring/uringtest"
)

// Why the Collector gives no ring away: who holds a ring with a thread of the kernel (SQPOLL) has its creator do whatever it likes.

func init() { roles["holder"] = holder }

// holder has a ring that another process made, and nothing else: it opens a file that only the other may.
func holder(args []string) error {
	if f, err := os.Open(args[2]); !errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("the file is no secret: %v, %w", f, err)
	}
	r := &uringtest.Ring{FD: 3}
	b, err := hex.DecodeString(args[0])
	if err != nil {
		return err
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&r.P)), unsafe.Sizeof(r.P)), b)
	if err := r.Map(); err != nil {
		return err
	}
	address, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return err
	}
	r.Push(uringtest.Open(address))
	if err := r.Wake(); err != nil {
		return err
	}
	for range 5000 {
		if e, ok := r.Take(); ok {
			fmt.Println("opened", e.Res)
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return errors.New("nothing came of it")
}

func TestRingInOtherHandsOwnsItsCreator(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, of whom something is to be had")
	}
	r, err := uringtest.NewRing(4, 8, uringtest.SQPoll)
	require.NoError(t, err)
	defer r.Close()
	dir, err := os.MkdirTemp("", "hotpath-uring-")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	require.NoError(t, os.Chmod(dir, 0o755))
	secret := filepath.Join(dir, "secret")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
	path := append([]byte(secret), 0)
	var pinned runtime.Pinner
	pinned.Pin(&path[0])
	defer pinned.Unpin()

	params := hex.EncodeToString(unsafe.Slice((*byte)(unsafe.Pointer(&r.P)), unsafe.Sizeof(r.P)))
	cmd := command("holder", params, strconv.FormatUint(uint64(uintptr(unsafe.Pointer(&path[0]))), 10), secret)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	own, err := unix.Dup(r.FD)
	require.NoError(t, err)
	given := os.NewFile(uintptr(own), "ring")
	defer given.Close()
	cmd.ExtraFiles = []*os.File{given}
	out, err := cmd.Output()
	require.NoError(t, err, string(out))
	var fd int
	_, err = fmt.Sscanf(string(out), "opened %d", &fd)
	require.NoError(t, err, string(out))
	require.GreaterOrEqual(t, fd, 0, "the kernel refused it: %v", unix.Errno(-fd))
	defer unix.Close(fd)
	opened, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	require.NoError(t, err)
	assert.Equal(t, secret, opened, "it is open here, with the rights of here")
}

// What the Collector does instead gives nothing away.
func TestClientHasNothingOfTheCollectors(t *testing.T) {
	f := setUp(t)
	c := f.connect(anyone(), requests)
	require.NoError(t, c.Tell(uringtest.Word{Index: 1, Value: 5}))
	assert.EqualValues(t, 5, f.collect().Total("requests"))
	f.inside(func(*hub) {
		fds, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		rings := 0
		for _, fd := range fds {
			if link, _ := os.Readlink("/proc/self/fd/" + fd.Name()); link == "anon_inode:[io_uring]" {
				rings++
			}
		}
		assert.Equal(t, 3, rings, "the client's two, and the target again")
	})
}
