package bpf

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheckFindsTheSegmentOfAProcess(t *testing.T) {
	need(t)
	var p *process
	_, err := Check(10*time.Second, func() (int, error) {
		p = spawn(t, command("wait", "1"))
		return p.Process.Pid, nil
	})
	require.NoError(t, err)
	p.end()
}

func TestCheckSaysWhatItDoesNotFind(t *testing.T) {
	need(t)
	_, err := Check(10*time.Millisecond, func() (int, error) { return 1, nil })
	assert.EqualError(t, err, "process 1 announced a segment, and no notice of it came in 10ms")
	_, err = Check(time.Second, func() (int, error) { return 0, errors.New("no process") })
	assert.EqualError(t, err, "no process")
}
