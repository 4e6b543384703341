package probe

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func many(binary string) string {
	return "\n- metric: {name: n, type: counter}\n  usdt: {binary: '" + binary + "', provider: app, name: many}\n  value: arg0\n"
}

func TestProgramsAreClosedWithTheLastFileThatUsesThem(t *testing.T) {
	dir := t.TempDir()
	f := start(t, many(dir+"/*"))
	before := descriptors(t)
	copied(t, "many", dir+"/a")
	f.lookAgain()
	f.collect()
	run(t, "many")
	out, err := exec.Command(dir + "/a").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.EqualValues(t, 31*32/2, f.collect().Total("n"))
	assert.LessOrEqual(t, descriptors(t)-before, 32*3, "of each program, and its link, which may be an event of perf as well")
	copied(t, "many", dir+"/b")
	f.lookAgain()
	f.collect()
	require.Len(t, f.probes[0].files, 2)
	assert.Len(t, f.probes[0].loaded.programs, 32, "the same for both")
	for _, name := range []string{"/a", "/b"} {
		require.NoError(t, os.Remove(dir+name))
		for range unmappedLooks {
			f.lookAgain()
			f.collect()
		}
	}
	require.Empty(t, f.probes[0].files)
	assert.Empty(t, f.probes[0].loaded.programs)
	assert.Equal(t, before, descriptors(t))
}

func TestAFileThatTakesManyProgramsIsRefused(t *testing.T) {
	require.Contains(t, refused(t, many(program("more"))), "33 different registers and memory operands; at most 32")
}

func TestLinksAreOneOfAGroupWhereTheKernelCanElseOneOfAPlace(t *testing.T) {
	groups := map[probeConfig][]place{{Uid: 1}: make([]place, 1), {Uid: 2}: make([]place, 3)}
	one, many := common{}, common{offers: offers{multi: true}}
	assert.Equal(t, 4, one.linksFor(groups, false))
	assert.Equal(t, 8, one.linksFor(groups, true))
	assert.Equal(t, 2, many.linksFor(groups, false))
	assert.Equal(t, 4, many.linksFor(groups, true))
}
