package hotpathreceiver

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	logged "go.uber.org/zap/zaptest/observer"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/source/shm"
	"github.com/hotpath-metrics/hotpath/receiver/hotpathreceiver/internal/metadata"
	"github.com/hotpath-metrics/hotpath/receiver/hotpathreceiver/internal/metadatatest"
)

// fakeSource is one process with one counter, under the test's hand.
type fakeSource struct {
	mu         sync.Mutex
	process    emit.Process
	series     emit.Series
	value      uint64
	startErr   error
	collectErr error

	collects, commits, shutdowns atomic.Int32
}

func newFake() *fakeSource {
	return &fakeSource{
		process: emit.Process{
			Resource: []emit.Attribute{{Key: "service.name", Type: emit.AttributeString, Str: "shop"}},
			Start:    1,
		},
		series: emit.Series{Instrument: &emit.Instrument{Name: "requests", Kind: emit.KindCounter}, ID: "requests"},
	}
}

func (f *fakeSource) Start(context.Context, component.Host) error {
	return f.startErr
}

func (f *fakeSource) Collect(_ context.Context, sink emit.Sink) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.collects.Add(1)
	if f.process.State > emit.Gone {
		return f.collectErr
	}
	sink.Process(&f.process)
	sink.Counter(&f.series, f.value)
	return f.collectErr
}

// Commit moves a dead process on.
func (f *fakeSource) Commit() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.commits.Add(1)
	if f.process.State != emit.Live {
		f.process.State++
	}
}

func (f *fakeSource) Shutdown(context.Context) error {
	f.shutdowns.Add(1)
	return nil
}

func (f *fakeSource) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// consumerOf answers each batch with what the test says, and keeps what it accepts.
type consumerOf struct {
	consumertest.MetricsSink
	answer func(context.Context) error
	calls  atomic.Int32
}

func (*consumerOf) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (c *consumerOf) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	c.calls.Add(1)
	if c.answer != nil {
		if err := c.answer(ctx); err != nil {
			return err
		}
	}
	return c.MetricsSink.ConsumeMetrics(ctx, md)
}

// values returns the counter in each accepted batch, -1 for its end.
func (c *consumerOf) values() []int64 {
	var values []int64
	for _, md := range c.AllMetrics() {
		p := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0)
		if p.Flags().NoRecordedValue() {
			values = append(values, -1)
			continue
		}
		values = append(values, p.IntValue())
	}
	return values
}

// statusHost keeps the states that the receiver reports.
type statusHost struct {
	component.Host
	events []componentstatus.Status
}

func (h *statusHost) Report(e *componentstatus.Event) { h.events = append(h.events, e.Status()) }

func newHost() *statusHost { return &statusHost{Host: componenttest.NewNopHost()} }

func sourcesOf(sources ...namedSource) func(*Config, deps) ([]namedSource, error) {
	return func(*Config, deps) ([]namedSource, error) { return sources, nil }
}

func required(f *fakeSource) namedSource { return namedSource{Source: f, name: "fake"} }

func newTestReceiver(t *testing.T, set receiver.Settings, next consumer.Metrics, sources ...namedSource) *hotpathReceiver {
	t.Helper()
	r, err := newReceiver(createDefaultConfig().(*Config), set, next, sourcesOf(sources...))
	require.NoError(t, err)
	return r
}

func nopSettings() receiver.Settings { return receivertest.NewNopSettings(metadata.Type) }

func TestCollectionsBeginAtOnceComeAgainEarlyAndThenKeepTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, next := newFake(), &consumerOf{}
		r := newTestReceiver(t, nopSettings(), next, required(fake))
		require.NoError(t, r.Start(t.Context(), newHost()))
		for _, step := range []struct {
			after    time.Duration
			collects int32
		}{{0, 1}, {999 * time.Millisecond, 1}, {2 * time.Millisecond, 2}, {9998 * time.Millisecond, 2}, {2 * time.Millisecond, 3}, {100 * time.Second, 13}} {
			time.Sleep(step.after)
			synctest.Wait()
			require.Equal(t, step.collects, fake.collects.Load())
		}
		require.EqualValues(t, 13, fake.commits.Load())
		require.NoError(t, r.Shutdown(t.Context()))
		require.EqualValues(t, 14, fake.collects.Load(), "a last collection")
		require.EqualValues(t, 14, fake.commits.Load())
		require.EqualValues(t, 1, fake.shutdowns.Load())
		require.NoError(t, r.Shutdown(t.Context()), "twice is no error")
		require.EqualValues(t, 1, fake.shutdowns.Load())
	})
}

func TestShutdownWithoutStart(t *testing.T) {
	fake := newFake()
	r := newTestReceiver(t, nopSettings(), &consumerOf{}, required(fake))
	require.NoError(t, r.Shutdown(t.Context()))
	require.EqualValues(t, 1, fake.shutdowns.Load())
	require.Zero(t, fake.collects.Load())
}

func TestLastValuesAndTheEndOfAProcessAreToldAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, next := newFake(), &consumerOf{}
		r := newTestReceiver(t, nopSettings(), next, required(fake))
		require.NoError(t, r.Start(t.Context(), newHost()))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		fake.set(func() { fake.value, fake.process.State = 5, emit.Final })
		require.NoError(t, r.Shutdown(t.Context()))
		require.Equal(t, []int64{0, 0, 5, -1}, next.values())
	})
}

func TestRefusedMetricsAreCollectedAgain(t *testing.T) {
	for name, err := range map[string]error{"for now": errors.New("full"), "for good": consumererror.NewPermanent(errors.New("bad"))} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake, next := newFake(), &consumerOf{}
				next.answer = func(context.Context) error {
					if next.calls.Load() <= 2 {
						return err
					}
					return nil
				}
				fake.value, fake.process.State = 5, emit.Final
				r := newTestReceiver(t, nopSettings(), next, required(fake))
				require.NoError(t, r.Start(t.Context(), newHost()))
				time.Sleep(2 * time.Second) // two collections
				synctest.Wait()
				require.Zero(t, fake.commits.Load())
				time.Sleep(20 * time.Second)
				require.NoError(t, r.Shutdown(t.Context()))
				require.Equal(t, []int64{5, -1}, next.values())
			})
		})
	}
}

func TestDeltasThatWereRefusedAreNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, next := newFake(), &consumerOf{}
		next.answer = func(context.Context) error {
			if next.calls.Load() == 2 {
				return errors.New("full")
			}
			return nil
		}
		cfg := createDefaultConfig().(*Config)
		cfg.Temporality, cfg.Resource.Per = TemporalityDelta, PerService
		r, err := newReceiver(cfg, nopSettings(), next, sourcesOf(required(fake)))
		require.NoError(t, err)
		require.NoError(t, r.Start(t.Context(), newHost()))
		for value := range uint64(4) {
			fake.set(func() { fake.value = 10 * value * value })
			time.Sleep(10 * time.Second)
			synctest.Wait()
		}
		require.NoError(t, r.Shutdown(t.Context()))
		require.Equal(t, []int64{0, 40, 50}, next.values())
		first := next.AllMetrics()[1].ResourceMetrics().At(0)
		require.Equal(t, map[string]any{"service.name": "shop", "process.user.id": int64(0)}, first.Resource().Attributes().AsRaw())
		sum := first.ScopeMetrics().At(0).Metrics().At(0).Sum()
		require.Equal(t, pmetric.AggregationTemporalityDelta, sum.AggregationTemporality())
		p := sum.DataPoints().At(0)
		require.Equal(t, 20*time.Second, p.Timestamp().AsTime().Sub(p.StartTimestamp().AsTime()))
	})
}

func TestNothingToTellIsNoBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, next := newFake(), &consumerOf{}
		fake.process.State = emit.Gone + 1
		r := newTestReceiver(t, nopSettings(), next, required(fake))
		require.NoError(t, r.Start(t.Context(), newHost()))
		require.NoError(t, r.Shutdown(t.Context()))
		require.Zero(t, next.calls.Load())
		require.EqualValues(t, 2, fake.commits.Load(), "at the beginning and at the end")
	})
}

func TestShutdownLetsABatchOnItsWayArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, next := newFake(), &consumerOf{}
		next.answer = func(ctx context.Context) error {
			select {
			case <-time.After(3 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		r := newTestReceiver(t, nopSettings(), next, required(fake))
		require.NoError(t, r.Start(t.Context(), newHost()))
		time.Sleep(2 * time.Second) // in the middle of the first
		require.NoError(t, r.Shutdown(t.Context()))
		require.Len(t, next.AllMetrics(), 2)
	})
}

func TestShutdownEndsAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, next := newFake(), &consumerOf{}
		next.answer = func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			return ctx.Err()
		}
		r := newTestReceiver(t, nopSettings(), next, required(fake))
		require.NoError(t, r.Start(t.Context(), newHost()))
		time.Sleep(2 * time.Second) // in the middle of the first
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, r.Shutdown(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.EqualValues(t, 1, fake.shutdowns.Load(), "released when the consumer came back")
		require.Zero(t, fake.commits.Load())
		require.EqualValues(t, 1, fake.collects.Load())
	})
}

func TestShutdownWaitsOnlyMomentsForABackendThatNeverAnswers(t *testing.T) {
	for name, answers := range map[string]int32{"the batch on its way": 0, "the last batch": 2, "the ends of processes": 3} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake, next := newFake(), &consumerOf{}
				next.answer = func(ctx context.Context) error {
					if next.calls.Load() <= answers {
						return nil
					}
					<-ctx.Done()
					return ctx.Err()
				}
				r := newTestReceiver(t, nopSettings(), next, required(fake))
				require.NoError(t, r.Start(t.Context(), newHost()))
				time.Sleep(2 * time.Second)
				fake.set(func() { fake.process.State = emit.Final })
				began := time.Now()
				require.NoError(t, r.Shutdown(context.Background()))
				require.InDelta(t, 5*time.Second, time.Since(began), float64(10*time.Millisecond))
				require.EqualValues(t, 1, fake.shutdowns.Load())
				require.Len(t, next.AllMetrics(), int(answers))
			})
		})
	}
}

func TestShutdownLeavesANextComponentBehindThatHeedsNoContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, next := newFake(), &consumerOf{}
		next.answer = func(context.Context) error {
			time.Sleep(5 * time.Minute)
			return errors.New("full")
		}
		r := newTestReceiver(t, nopSettings(), next, required(fake))
		require.NoError(t, r.Start(t.Context(), newHost()))
		time.Sleep(2 * time.Second)
		began := time.Now()
		require.ErrorIs(t, r.Shutdown(context.Background()), context.DeadlineExceeded)
		require.Equal(t, 6*time.Second, time.Since(began))
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		require.EqualValues(t, 1, fake.shutdowns.Load(), "released when the consumer came back")
		require.EqualValues(t, 1, fake.collects.Load())
	})
}

// Backends keep milliseconds, and one value for each.
func TestTheEndOfAProcessIsLaterThanItsLastValueAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, next := newFake(), &consumerOf{}
		fake.process.State = emit.Gone + 1
		r := newTestReceiver(t, nopSettings(), next, required(fake))
		require.NoError(t, r.Start(t.Context(), newHost()))
		time.Sleep(2 * time.Second)
		fake.set(func() { fake.value, fake.process.State = 5, emit.Final })
		require.NoError(t, r.Shutdown(t.Context()))
		require.Equal(t, []int64{5, -1}, next.values())
		var times []int64
		for _, md := range next.AllMetrics() {
			p := md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0)
			times = append(times, p.Timestamp().AsTime().UnixMilli())
		}
		require.Greater(t, times[1], times[0])
	})
}

func TestASourceThatCannotStartFailsStartAndUndoesTheOthers(t *testing.T) {
	good, bad := newFake(), newFake()
	bad.startErr = errors.New("no such kernel")
	r := newTestReceiver(t, nopSettings(), &consumerOf{}, namedSource{Source: good, name: "good"}, namedSource{Source: bad, name: "bad"})
	require.EqualError(t, r.Start(t.Context(), newHost()), "start source bad: no such kernel")
	require.EqualValues(t, 1, good.shutdowns.Load())
	require.EqualValues(t, 1, bad.shutdowns.Load())
	require.NoError(t, r.Shutdown(t.Context()))
	require.Zero(t, good.collects.Load())
}

func TestAnOptionalSourceMayBeMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, bad, next, host := newFake(), newFake(), &consumerOf{}, newHost()
		bad.startErr = errors.New("no such kernel")
		r := newTestReceiver(t, nopSettings(), next,
			namedSource{Source: bad, name: "bad", optional: true}, namedSource{Source: good, name: "good"})
		require.NoError(t, r.Start(t.Context(), host))
		good.set(func() { good.collectErr = errors.New("gone") })
		time.Sleep(2 * time.Second)
		good.set(func() { good.collectErr = nil })
		time.Sleep(20 * time.Second)
		require.NoError(t, r.Shutdown(t.Context()))
		require.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError}, host.events, "it stays missing")
		require.Zero(t, bad.collects.Load())
		require.EqualValues(t, 1, bad.shutdowns.Load())
		require.NotEmpty(t, next.values())
	})
}

func TestWhatKeepsAnOptionalSourceFromItsWorkIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := logged.New(zap.WarnLevel)
		set, host := nopSettings(), newHost()
		set.Logger = zap.New(core)
		cfg := createDefaultConfig().(*Config)
		cfg.Shm = configoptional.Some(shm.Config{Directory: "/proc/hotpath", Optional: true})
		r, err := newReceiver(cfg, set, &consumerOf{}, openSources)
		require.NoError(t, err)
		require.NoError(t, r.Start(t.Context(), host))
		time.Sleep(time.Minute)
		require.NoError(t, r.Shutdown(t.Context()))
		require.Equal(t, 1, logs.Len(), "%v", logs.All())
		require.Contains(t, logs.All()[0].ContextMap()["error"], "/proc/hotpath")
		require.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError}, host.events)
	})
}

func TestStatusChangesWhenCollectionsFailAndRecover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, next, host := newFake(), &consumerOf{}, newHost()
		r := newTestReceiver(t, nopSettings(), next, required(fake))
		require.NoError(t, r.Start(t.Context(), host))
		time.Sleep(2 * time.Second)
		fake.set(func() { fake.collectErr = errors.New("directory is gone") })
		time.Sleep(30 * time.Second)
		fake.set(func() { fake.collectErr = nil })
		time.Sleep(30 * time.Second)
		require.NoError(t, r.Shutdown(t.Context()))
		require.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError, componentstatus.StatusOK}, host.events)
		require.Len(t, next.values(), 9, "what could be read is delivered all the same")
	})
}

func TestSourcesThatTheConfigNames(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	d := deps{logger: nopSettings().Logger}
	sources, err := openSources(cfg, d)
	require.NoError(t, err)
	require.Len(t, sources, 1, "shm runs by default")
	require.Equal(t, "shm", sources[0].name)
	require.False(t, cfg.Shm.HasValue(), "the config is not changed")

	cfg.Shm = configoptional.Some(shm.Config{Optional: true})
	sources, err = openSources(cfg, d)
	require.NoError(t, err)
	require.Len(t, sources, 1)
	require.True(t, sources[0].optional)

	cfg.Shm = configoptional.None[shm.Config]()
	_, err = NewFactory().CreateMetrics(t.Context(), nopSettings(), cfg, &consumerOf{})
	require.EqualError(t, err, "no source: shm is not enabled and no other is named")
}

func TestOwnTelemetry(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	set := nopSettings()
	set.TelemetrySettings = tel.NewTelemetrySettings()
	r := newTestReceiver(t, set, &consumerOf{}, required(newFake()))
	require.NoError(t, r.Start(t.Context(), newHost()))
	source := r.telemetry.of("some_source")
	source.Segments("live", 3)
	source.Segments("live", 2)
	source.Segments("dead", 1)
	source.SegmentSkipped("magic")
	source.SeriesSkipped("limit", 4)
	source.BytesRead(5)
	source.ClientRefused(6)
	source.ClientFolded(7)
	source.ClientUnplaced(8)
	source.ClientRejected(9)
	source.EventsRead(10)
	source.EventsDropped(1, 11)
	source.EventsSkipped("unknown", 12)
	source.EventsNearLimit(13)
	source.ClientUnrecorded(14)
	source.MeasurementsRead(15)
	source.MeasurementsLost(16)
	source.MeasurementsSkipped("series", 17)
	require.NoError(t, r.Shutdown(t.Context()))

	points := func(value int64, attrs ...attribute.KeyValue) []metricdata.DataPoint[int64] {
		return []metricdata.DataPoint[int64]{{Value: value, Attributes: attribute.NewSet(attrs...)}}
	}
	opts := metricdatatest.IgnoreTimestamp()
	id, of := attribute.String("receiver", set.ID.String()), attribute.String("source", "some_source")
	metadatatest.AssertEqualReceiverHotpathSegments(t, tel,
		append(points(2, id, of, attribute.String("state", "live")), points(1, id, of, attribute.String("state", "dead"))...), opts)
	metadatatest.AssertEqualReceiverHotpathSegmentsSkipped(t, tel, points(1, id, of, attribute.String("reason", "magic")), opts)
	metadatatest.AssertEqualReceiverHotpathSeriesSkipped(t, tel, points(4, id, of, attribute.String("reason", "limit")), opts)
	metadatatest.AssertEqualReceiverHotpathBytesRead(t, tel, points(5, id, of), opts)
	metadatatest.AssertEqualReceiverHotpathClientMeasurementsRefused(t, tel, points(6, id, of), opts)
	metadatatest.AssertEqualReceiverHotpathClientSeriesFolded(t, tel, points(7, id, of), opts)
	metadatatest.AssertEqualReceiverHotpathClientSeriesUnplaced(t, tel, points(8, id, of), opts)
	metadatatest.AssertEqualReceiverHotpathClientSeriesRejected(t, tel, points(9, id, of), opts)
	metadatatest.AssertEqualReceiverHotpathEventsRead(t, tel, points(10, id, of), opts)
	metadatatest.AssertEqualReceiverHotpathEventsDropped(t, tel, points(11, id, of, attribute.Int("cpu", 1)), opts)
	metadatatest.AssertEqualReceiverHotpathEventsSkipped(t, tel, points(12, id, of, attribute.String("reason", "unknown")), opts)
	metadatatest.AssertEqualReceiverHotpathEventsNearLimit(t, tel, points(13, id, of), opts)
	metadatatest.AssertEqualReceiverHotpathClientMeasurementsUnrecorded(t, tel, points(14, id, of), opts)
	metadatatest.AssertEqualReceiverHotpathMeasurementsRead(t, tel, points(15, id, of), opts)
	metadatatest.AssertEqualReceiverHotpathMeasurementsLost(t, tel, points(16, id, of), opts)
	metadatatest.AssertEqualReceiverHotpathMeasurementsSkipped(t, tel, points(17, id, of, attribute.String("reason", "series")), opts)
	duration, err := tel.GetMetric("otelcol_receiver_hotpath_collection_duration")
	require.NoError(t, err)
	durations := duration.Data.(metricdata.Histogram[float64]).DataPoints
	require.Equal(t, uint64(2), durations[0].Count)
	require.Equal(t, attribute.NewSet(id), durations[0].Attributes)
	accepted, err := tel.GetMetric("otelcol_receiver_accepted_metric_points")
	require.NoError(t, err)
	require.Equal(t, int64(2), accepted.Data.(metricdata.Sum[int64]).DataPoints[0].Value)
}

func TestReceiversOfOneCollectorReportApart(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	var want []metricdata.DataPoint[int64]
	for i, name := range []string{"a", "b"} {
		set := nopSettings()
		set.ID = component.NewIDWithName(metadata.Type, name)
		set.TelemetrySettings = tel.NewTelemetrySettings()
		r := newTestReceiver(t, set, &consumerOf{})
		r.telemetry.of("some_source").Segments("live", int64(i))
		require.NoError(t, r.Shutdown(t.Context()))
		want = append(want, metricdata.DataPoint[int64]{Value: int64(i), Attributes: attribute.NewSet(
			attribute.String("receiver", "hotpath/"+name), attribute.String("source", "some_source"), attribute.String("state", "live"))})
	}
	metadatatest.AssertEqualReceiverHotpathSegments(t, tel, want, metricdatatest.IgnoreTimestamp())
}

// The generated lifecycle test, which runs before, starts the real source.
func TestTheGeneratedTestLeavesOnlyTheCollectorsOwnFiles(t *testing.T) {
	const dir = "/dev/shm/hotpath-generated-test"
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("it did not run")
	}
	require.NoError(t, err)
	for _, e := range entries {
		require.Contains(t, []string{".collector", ".doorbell", ".rings"}, e.Name())
	}
	require.NoError(t, os.RemoveAll(dir))
}
