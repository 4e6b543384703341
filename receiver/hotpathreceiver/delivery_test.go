package hotpathreceiver

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/hotpath-metrics/hotpath/receiver/hotpathreceiver/internal/metadatatest"
)

// startRefused starts a receiver whose batches get the answers that a function of their number gives.
func startRefused(t *testing.T, set receiver.Settings, interval time.Duration, answer func(call int32) error) (*hotpathReceiver, *fakeSource, *consumerOf) {
	t.Helper()
	fake, next := newFake(), &consumerOf{}
	next.answer = func(context.Context) error { return answer(next.calls.Load()) }
	cfg := createDefaultConfig().(*Config)
	cfg.CollectionInterval = interval
	r, err := newReceiver(cfg, set, next, sourcesOf(required(fake)))
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), newHost()))
	return r, fake, next
}

func TestWhatIsRefusedForGoodForAnHourIsDroppedAndCounted(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	set := nopSettings()
	set.TelemetrySettings = tel.NewTelemetrySettings()
	synctest.Test(t, func(t *testing.T) {
		r, fake, next := startRefused(t, set, 10*time.Second, func(call int32) error {
			if call == 9 { // breaks the row
				return errors.New("full")
			}
			return consumererror.NewPermanent(errors.New("bad"))
		})
		// The tenth begins the row, at 81 s.
		time.Sleep(81*time.Second + time.Hour - time.Millisecond)
		synctest.Wait()
		require.EqualValues(t, 369, next.calls.Load())
		require.Zero(t, fake.commits.Load())
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		require.EqualValues(t, 370, next.calls.Load())
		require.EqualValues(t, 1, fake.commits.Load())
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		require.EqualValues(t, 1, fake.commits.Load(), "the row begins anew")
		require.NoError(t, r.Shutdown(t.Context()))
	})
	metadatatest.AssertEqualReceiverHotpathPointsDropped(t, tel, []metricdata.DataPoint[int64]{
		{Value: 1, Attributes: attribute.NewSet(attribute.String("receiver", set.ID.String()))},
	}, metricdatatest.IgnoreTimestamp())
}

func TestFewerThanTenRefusalsForGoodDropNothingHoweverLongTheyTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, fake, next := startRefused(t, nopSettings(), 30*time.Minute, func(int32) error {
			return consumererror.NewPermanent(errors.New("bad"))
		})
		time.Sleep(2*time.Second + 7*30*time.Minute)
		synctest.Wait()
		require.EqualValues(t, 9, next.calls.Load())
		require.Zero(t, fake.commits.Load())
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		require.EqualValues(t, 1, fake.commits.Load())
		require.NoError(t, r.Shutdown(t.Context()))
	})
}

func TestRefusalsAreLoggedWhenTheyBeginAndWhenTheyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := zapobserver.New(zap.DebugLevel)
		set := nopSettings()
		set.Logger = zap.New(core)
		r, _, _ := startRefused(t, set, 10*time.Second, func(call int32) error {
			if call >= 2 && call <= 4 || call == 6 {
				return errors.New("full")
			}
			return nil
		})
		time.Sleep(42 * time.Second) // six batches
		require.NoError(t, r.Shutdown(t.Context()))
		type line struct {
			level   zapcore.Level
			message string
		}
		const refused, accepted = "Metrics were refused; they stay for the next collection", "Metrics are accepted again"
		var said []line
		for _, e := range logs.All() {
			said = append(said, line{e.Level, e.Message})
		}
		require.Equal(t, []line{
			{zap.WarnLevel, refused},
			{zap.DebugLevel, refused},
			{zap.DebugLevel, refused},
			{zap.InfoLevel, accepted},
			{zap.WarnLevel, refused},
			{zap.InfoLevel, accepted},
		}, said)
	})
}
