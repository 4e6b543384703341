package probe

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// leave has this process have so many descriptors left, until the function that it returns.
func leave(t *testing.T, n int) (restore func()) {
	t.Helper()
	var was unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 200, Max: was.Max}))
	var all []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		all = append(all, f)
	}
	require.Greater(t, len(all), n)
	for _, f := range all[:n] {
		f.Close()
	}
	return func() {
		for _, f := range all[n:] {
			f.Close()
		}
		require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was))
	}
}

func TestWhatPassesIsMentionedOnceAndTriedAgain(t *testing.T) {
	dir := t.TempDir()
	f := start(t, at(dir+"/a*"))
	copied(t, "target", dir+"/a1")
	restore := leave(t, 4)
	for range 3 {
		f.lookAgain()
		f.collect()
	}
	restore()
	require.Len(t, f.logs.FilterMessageSnippet("Cannot attach").All(), 1)
	f.lookAgain()
	f.collect()
	work(t, dir+"/a1", 3)
	assert.EqualValues(t, 3, f.collect().Total("n"))
	assert.Empty(t, f.probes[0].refused)
}

func TestAFileRewrittenThatKeepsItsTimeIsAttachedToAgain(t *testing.T) {
	path := t.TempDir() + "/app"
	old := time.Unix(1, 0)
	copied(t, "target", path)
	require.NoError(t, os.Chtimes(path, old, old))
	f := start(t, at(path))
	work(t, path, 2)
	b, err := os.ReadFile(program("target-fixed"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, b, 0o755))
	require.NoError(t, os.Chtimes(path, old, old))
	f.lookAgain()
	f.collect()
	pid := work(t, path, 7)
	p := of(f.collect(), pid)
	require.NotNil(t, p)
	assert.EqualValues(t, 7, p.Counters["n"])
}
