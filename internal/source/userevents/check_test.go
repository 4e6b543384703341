package userevents

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/kerneltest"
)

const checkedInstance = "hotpath_check_test"

func TestUserEventsCheckReadsAnEventAndLeavesNothing(t *testing.T) {
	kerneltest.Need(t)
	require.NoError(t, Check(testConfig(), checkedInstance, zap.NewNop(), newTelemetry()))
	assert.NoDirExists(t, instances+checkedInstance)
	assert.NoError(t, InUse(testConfig()))
}

func TestUserEventsCheckIsNotHeardByACollector(t *testing.T) {
	f := start(t, testConfig(countEntry("hp_checked", "n")))
	w := register(t, "hp_checked u64 n", 0)
	require.NoError(t, w.listened(10*time.Second))
	w.numbers(t, 1, 2)
	require.NoError(t, Check(f.cfg, checkedInstance, zap.NewNop(), newTelemetry()))
	w.numbers(t, 3)
	assert.EqualValues(t, 6, f.collect().Total("hp_checked"))
	assert.EqualValues(t, 3, f.tel.read)

	second := newFixture(t, testConfig())
	assert.EqualError(t, InUse(f.cfg), second.Start(context.Background(), nil).Error(), "as another collector is told")
}

func TestUserEventsCheckSaysWhatStartSays(t *testing.T) {
	kerneltest.Need(t)
	first := start(t, testConfig())
	err := Check(testConfig(), first.cfg.Instance, zap.NewNop(), newTelemetry())
	second := newFixture(t, testConfig())
	assert.EqualError(t, err, second.Start(context.Background(), nil).Error())
	_, err = os.Stat(instances + first.cfg.Instance)
	assert.NoError(t, err)
}
