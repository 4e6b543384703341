package uring

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/source/uring/uringtest"
)

func init() { roles["filtered"] = filtered }

// filtered is a Collector under a seccomp filter that refuses a system call, as those of containers do.
func filtered(args []string) error {
	number, err := strconv.ParseUint(args[1], 10, 32)
	if err != nil {
		return err
	}
	in, out, err := os.Pipe() // the runtime makes its epoll instance before
	if err != nil {
		return err
	}
	defer in.Close()
	defer out.Close()
	code := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(number), Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program))); errno != 0 {
		return errno
	}
	return collector(args)
}

func TestRefusedSystemCallIsSaidWhereItIsNeeded(t *testing.T) {
	newFixture(t)
	for name, tt := range map[string]struct {
		number uintptr
		says   string
	}{
		"io_uring_setup":    {unix.SYS_IO_URING_SETUP, "allow io_uring_setup and io_uring_register"},
		"io_uring_register": {unix.SYS_IO_URING_REGISTER, "allow io_uring_setup and io_uring_register"},
		"pidfd_open":        {unix.SYS_PIDFD_OPEN, "add the capability SYS_PTRACE to the container"},
		"pidfd_getfd":       {unix.SYS_PIDFD_GETFD, "add the capability SYS_PTRACE to the container"},
		"epoll_create1":     {unix.SYS_EPOLL_CREATE1, "make epoll: operation not permitted"},
		"io_uring_enter":    {unix.SYS_IO_URING_ENTER, "ready"},
	} {
		t.Run(name, func(t *testing.T) {
			socket := socketOfAnybody(t)
			p := sibling(t, "filtered", socket, strconv.Itoa(int(tt.number)))
			p.expect(tt.says)
			if tt.says != "ready" {
				return
			}
			c, err := uringtest.Connect(socket, anyone(), requests)
			require.NoError(t, err)
			defer c.Close()
			require.NoError(t, c.Tell(uringtest.Word{Index: 1, Value: 5}))
			_, err = fmt.Fprintln(p.in)
			require.NoError(t, err)
			p.expect("total 5")
		})
	}
}
