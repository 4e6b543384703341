package process

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStatusTellsProcessAndEffectiveUser(t *testing.T) {
	pid, uid, err := parseStatus([]byte("Name:\tUid: 1 2 3 4\\nTgid:\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4711\nPid:\t4712\nUid:\t1\t4294967294\t3\t4\n"))
	require.NoError(t, err)
	assert.EqualValues(t, 4711, pid)
	assert.EqualValues(t, 4294967294, uid)

	for _, text := range []string{
		"", "Tgid:\t1\n", "Uid:\t1\t2\t3\t4\n", "Tgid:\t0\nUid:\t1\t2\t3\t4\n", "Tgid:\t-1\nUid:\t1\t2\t3\t4\n",
		"Tgid:\t1\nUid:\t1\n", "Tgid:\t1\nUid:\t1\tx\t3\t4\n", "Tgid:\t99999999999\nUid:\t1\t2\t3\t4\n",
	} {
		_, _, err := parseStatus([]byte(text))
		assert.ErrorIs(t, err, errMalformed, "%q", text)
	}
}

func TestStatTellsTheStartWhateverTheNameHolds(t *testing.T) {
	const rest = " S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 9223372036854775807 23\n"
	for _, name := range []string{"(sh)", "(a) S 1 2)", "( )", "())", "(a\nb)"} {
		ticks, err := parseStat([]byte("4711 " + name + rest))
		require.NoError(t, err)
		assert.EqualValues(t, 9223372036854775807, ticks)
	}
	for _, text := range []string{"", "1 (a) S 1", "1 (a)" + " S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 -3 23"} {
		_, err := parseStat([]byte(text))
		assert.ErrorIs(t, err, errMalformed, "%q", text)
	}
}

func FuzzProcFiles(f *testing.F) {
	f.Add([]byte("Tgid:\t4711\nUid:\t1\t2\t3\t4\n"))
	f.Add([]byte("1 (a) S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 3 23"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if pid, _, err := parseStatus(text); err == nil && pid <= 0 {
			t.Fatal(pid)
		}
		_, _ = parseStat(text)
	})
}
