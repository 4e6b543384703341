package shm

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/hotpath-metrics/hotpath/internal/process"
)

func TestPidIsBelievedOnlyOfAProcessOfTheFilesOwner(t *testing.T) {
	pid := os.Getpid()
	for uid, want := range map[uint32]int{uint32(os.Geteuid()): pid, uint32(os.Geteuid()) + 1: 42} {
		who := process.Identity{PID: 42, UID: uid}
		believe(&who, pid)
		assert.EqualValues(t, want, who.PID)
	}
}

func TestExecutableNameIsTheKernels(t *testing.T) {
	who := process.Identity{PID: 42, UID: uint32(os.Geteuid())}
	believe(&who, os.Getpid())
	exe, _ := os.Executable()
	assert.Equal(t, filepath.Base(exe), who.Executable)
}
