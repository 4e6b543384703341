package procfile

import (
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"
)

// pausing reads as the kernel does where it has long had nothing to tell.
type pausing struct{ paused int }

func (p *pausing) Read([]byte) (int, error) {
	if p.paused++; p.paused < 3 {
		return 0, unix.EAGAIN
	}
	return 0, io.EOF
}

func TestPausedReadsOn(t *testing.T) {
	p := &pausing{}
	_, err := Paused{p}.Read(nil)
	assert.Equal(t, io.EOF, err)
	assert.Equal(t, 3, p.paused)
}
