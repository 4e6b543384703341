package probe

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// check is what Check says of a list of probes.
func check(t *testing.T, yaml string) error {
	t.Helper()
	need(t)
	configs, err := read(t, yaml)
	require.NoError(t, err)
	return Check(configs, ample, zap.NewNop(), &telemetry{skipped: map[string]int64{}})
}

func TestCheckTakesWhatStartTakes(t *testing.T) {
	assert.NoError(t, check(t, at(program("target"))))
	assert.NoError(t, check(t, at("/no/such/program")), "it may come")
	assert.NoError(t, check(t, at("target")), "it may run one day")
}

func TestCheckSaysWhatStartSays(t *testing.T) {
	for _, yaml := range []string{
		` [{uprobe: {binary: "${target}", symbol: no_such_function}, metric: {name: n, type: counter}}]`,
		` [{uprobe: {binary: /etc/passwd, symbol: main}, metric: {name: n, type: counter}}]`,
		` [{usdt: {binary: "${target}", provider: no, name: such}, metric: {name: n, type: counter}}]`,
	} {
		assert.EqualError(t, check(t, yaml), refused(t, yaml), yaml)
	}
}

func TestCheckAttachesNothing(t *testing.T) {
	f := start(t, at(program("target")))
	require.NoError(t, check(t, at(program("target"))))
	work(t, program("target"), 3)
	assert.EqualValues(t, 3, only(t, f.collect()).Counters["n"])
}
