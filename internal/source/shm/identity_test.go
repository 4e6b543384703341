package shm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

func TestParseLocksFindsTheWriterOfAWantedFile(t *testing.T) {
	wanted := map[segments.Key]int{
		{Dev: unix.Mkdev(0, 0x1b), Ino: 5678}: 0,
		{Dev: unix.Mkdev(0, 0x1b), Ino: 5679}: 0,
		{Dev: unix.Mkdev(8, 1), Ino: 77}:      0,
		{Dev: unix.Mkdev(8, 1), Ino: 78}:      0,
	}
	parseLocks(strings.NewReader(`1: FLOCK  ADVISORY  WRITE 1234 00:1b:5678 0 EOF
2: POSIX  ADVISORY  WRITE 99 00:1b:5679 0 EOF
2: -> FLOCK  ADVISORY  WRITE 98 00:1b:5679 0 EOF
3: FLOCK  ADVISORY  READ  97 08:01:77 0 EOF
4: FLOCK  ADVISORY  WRITE -1 08:01:78 0 EOF
5: FLOCK  ADVISORY  WRITE x 08:01:78 0 EOF
6: FLOCK  ADVISORY  WRITE 5 08:01 0 EOF
7: FLOCK  ADVISORY  WRITE 5 08:01:79 0 EOF
nonsense FLOCK
`), wanted)
	assert.Equal(t, map[segments.Key]int{
		{Dev: unix.Mkdev(0, 0x1b), Ino: 5678}: 1234,
		{Dev: unix.Mkdev(0, 0x1b), Ino: 5679}: 0,
		{Dev: unix.Mkdev(8, 1), Ino: 77}:      0,
		{Dev: unix.Mkdev(8, 1), Ino: 78}:      0,
	}, wanted)
}

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
