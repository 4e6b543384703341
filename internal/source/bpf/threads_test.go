package bpf

import (
	"errors"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEndOfManyThreadsIsToldOnce is about threads of which several find that they are the last.
func TestEndOfManyThreadsIsToldOnce(t *testing.T) {
	need(t)
	device, err := memfdDevice()
	require.NoError(t, err)
	p, err := load(device)
	require.NoError(t, err)
	defer func() { assert.NoError(t, p.close()) }()
	const processes, threads = 300, 3
	want := map[uint32]int{}
	for range processes {
		one := spawn(t, command("threads", strconv.Itoa(threads)))
		want[uint32(one.pid)] = 1
		require.NoError(t, one.Process.Kill())
		one.end()
	}
	got := map[uint32]int{}
	p.notices.SetDeadline(time.Now().Add(time.Second))
	for {
		record, err := p.notices.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		require.NoError(t, err)
		n, err := parseNotice(record.RawSample)
		require.NoError(t, err)
		if n.kind == noticeEnded && want[n.pid] != 0 {
			got[n.pid]++
		}
	}
	assert.Equal(t, want, got)
}
