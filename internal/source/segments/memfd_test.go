package segments

import (
	"fmt"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

// sealed is a segment in a memfd, as docs/segment-format.md tells.
type sealed struct {
	fd     int
	path   string
	memory []byte
}

func memfd(t *testing.T, s segmenttest.Segment) *sealed {
	t.Helper()
	b := s.Bytes()
	fd, err := unix.MemfdCreate("hotpath", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	require.NoError(t, err)
	m := &sealed{fd: fd, path: fmt.Sprintf("/proc/self/fd/%d", fd)}
	t.Cleanup(m.closeDescriptor)
	require.NoError(t, unix.Ftruncate(fd, int64(len(b))))
	require.NoError(t, unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB))
	m.memory, err = unix.Mmap(fd, 0, len(b), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	require.NoError(t, err)
	t.Cleanup(m.unmap)
	copy(m.memory, b)
	_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS,
		unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_FUTURE_WRITE|unix.F_SEAL_SEAL)
	require.NoError(t, err)
	return m
}

func (m *sealed) word(offset int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&m.memory[offset]))
}

func (m *sealed) closeDescriptor() {
	if m.fd >= 0 {
		unix.Close(m.fd)
		m.fd = -1
	}
}

func (m *sealed) unmap() {
	if m.memory != nil {
		_ = unix.Munmap(m.memory)
		m.memory = nil
	}
}
