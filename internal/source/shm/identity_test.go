package shm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

func TestParseLocksFindsTheWriterOfAWantedFile(t *testing.T) {
	wanted := map[fileKey]int{
		{unix.Mkdev(0, 0x1b), 5678}: 0,
		{unix.Mkdev(0, 0x1b), 5679}: 0,
		{unix.Mkdev(8, 1), 77}:      0,
		{unix.Mkdev(8, 1), 78}:      0,
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
	assert.Equal(t, map[fileKey]int{
		{unix.Mkdev(0, 0x1b), 5678}: 1234,
		{unix.Mkdev(0, 0x1b), 5679}: 0,
		{unix.Mkdev(8, 1), 77}:      0,
		{unix.Mkdev(8, 1), 78}:      0,
	}, wanted)
}

func TestPidIsBelievedOnlyOfAProcessOfTheFilesOwner(t *testing.T) {
	pid := os.Getpid()
	find := func(uid uint32) uint64 {
		for _, a := range identify(nil, uid, pid, 42, [16]byte{}) {
			if a.Key == "process.pid" {
				return a.Bits
			}
		}
		return 0
	}
	assert.EqualValues(t, pid, find(uint32(os.Geteuid())))
	assert.EqualValues(t, 42, find(uint32(os.Geteuid())+1))
}

func TestExecutableNameIsTheKernels(t *testing.T) {
	resource := identify(nil, uint32(os.Geteuid()), os.Getpid(), 42, [16]byte{})
	exe, _ := os.Executable()
	assert.Contains(t, resource, segmenttest.Str("process.executable.name", filepath.Base(exe)))
}
