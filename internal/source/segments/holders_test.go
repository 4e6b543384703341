package segments

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"
)

func TestParseLocksFindsTheWriterOfAWantedFile(t *testing.T) {
	wanted := map[Key]int{
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
	assert.Equal(t, map[Key]int{
		{Dev: unix.Mkdev(0, 0x1b), Ino: 5678}: 1234,
		{Dev: unix.Mkdev(0, 0x1b), Ino: 5679}: 0,
		{Dev: unix.Mkdev(8, 1), Ino: 77}:      0,
		{Dev: unix.Mkdev(8, 1), Ino: 78}:      0,
	}, wanted)
}
