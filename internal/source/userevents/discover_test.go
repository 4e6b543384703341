package userevents

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/internal/instrument"
	"github.com/hotpath-metrics/hotpath/internal/kerneltest"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/mapping"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/tracefs"
)

func TestUserEventsOTLPInBothLayoutsOneAfterTheOther(t *testing.T) {
	kerneltest.Need(t)
	f := start(t, testConfig())
	names := []string{"rust.metric", "cpp.metric", "rust.again"}
	for i, layout := range []func([]byte) (string, []byte){declaredLayout, sizedLayout, declaredLayout} {
		declaration, payload := layout(request(t, names[i]))
		// The first exporter is gone, but its event would live on with the collector.
		w := child(t, "write", declaration, hex.EncodeToString(payload))
		require.NoError(t, w.Wait())
	}
	var got []string
	metrics := f.collect().Foreign
	for _, rm := range metrics.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				got = append(got, m.Name())
			}
		}
	}
	assert.ElementsMatch(t, names, got)
	assert.Empty(t, f.tel.skipped)
}

func TestUserEventsOfOTLPMayBeMappedToo(t *testing.T) {
	kerneltest.Need(t)
	f := start(t, testConfig(countEntry("otlp_metrics", "")))
	declaration, payload := declaredLayout(request(t, "rust.metric"))
	require.NoError(t, child(t, "write", declaration, hex.EncodeToString(payload)).Wait())
	got := f.collect()
	assert.EqualValues(t, 1, got.Total("otlp_metrics"))
	assert.Equal(t, 1, got.Foreign.ResourceMetrics().Len())
}

func request(t *testing.T, name string) []byte {
	md := pmetric.NewMetrics()
	m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName(name)
	m.SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(1)
	b, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
	require.NoError(t, err)
	return b
}

func declaredLayout(request []byte) (declaration string, payload []byte) {
	payload = append(make([]byte, 4), "v0.19.00"...)
	payload = binary.NativeEndian.AppendUint32(payload, uint32(len(request))<<16)
	return "otlp_metrics u32 protocol;char[8] version;__rel_loc u8[] buffer", append(payload, request...)
}

func sizedLayout(request []byte) (declaration string, payload []byte) {
	return "otlp_metrics", append(binary.NativeEndian.AppendUint32(nil, uint32(len(request))), request...)
}

func TestUserEventsThatNobodyElseHasAreLetGo(t *testing.T) {
	kerneltest.Need(t)
	f := start(t, testConfig(countEntry("hp_upgraded", "n")))
	for _, declaration := range []string{"hp_upgraded u64 n", "hp_upgraded u64 n; u64 m"} {
		w := child(t, "write", declaration, strings.Repeat("01", 16))
		require.NoError(t, w.Wait())
	}
	assert.EqualValues(t, 2*0x0101010101010101, f.collect().Total("hp_upgraded"))
	eventually(t, func() bool { return !strings.Contains(registered(t), "hp_upgraded") })
}

func TestUserEventsThatOthersHaveAreKept(t *testing.T) {
	kerneltest.Need(t)
	f := start(t, testConfig(countEntry("hp_kept", "")))
	w := register(t, "hp_kept u64 n", 0)
	require.NoError(t, w.listened(10*time.Second))
	f.mu.Lock()
	b := f.trace.bound[tracefs.Name{Group: tracefs.Group, Event: "hp_kept"}]
	require.NotNil(t, b)
	require.NoError(t, f.trace.try(b))
	again := f.trace.bound[tracefs.Name{Group: tracefs.Group, Event: "hp_kept"}]
	f.mu.Unlock()
	require.NotNil(t, again)
	assert.Equal(t, 2*b.backoff, again.backoff)
	w.numbers(t, 1, 1)
	assert.EqualValues(t, 2, f.collect().Total("hp_kept"))
}

func TestUserEventsConflictNamesBothDeclarations(t *testing.T) {
	kerneltest.Need(t)
	w := register(t, "hp_conflict u32 a; u64 n", 0)
	conflicting := countEntry("hp_conflict", "n")
	conflicting.Fields = "u64 n; u64 m"
	f := start(t, testConfig(conflicting, countEntry("hp_fine", "n")))
	fine := register(t, "hp_fine u64 n", 0)
	require.NoError(t, fine.listened(10*time.Second))
	time.Sleep(3 * scanInterval)
	entries := f.logs.FilterMessageSnippet("Cannot register").All()
	require.Len(t, entries, 1, "logged once")
	text := fmt.Sprint(entries[0].ContextMap()["error"])
	assert.Contains(t, text, `"u32 a; u64 n"`)
	assert.Contains(t, text, `"u64 n; u64 m"`)

	fine.numbers(t, 1)
	require.NoError(t, w.write(append(make([]byte, 4), word(2)...)), "it is heard as it is")
	got := f.collect()
	assert.EqualValues(t, 1, got.Total("hp_fine"))
	assert.EqualValues(t, 2, got.Total("hp_conflict"))
}

func TestUserEventsThatDoNotFitAreReportedOnceAndOthersGoOn(t *testing.T) {
	kerneltest.Need(t)
	register(t, "hp_unfit u64 other", 0)
	w := register(t, "hp_fit u64 n", 0)
	f := start(t, testConfig(countEntry("hp_*fit", "n")))
	time.Sleep(3 * scanInterval)
	entries := f.logs.FilterMessageSnippet("Cannot use an event").All()
	require.Len(t, entries, 1)
	assert.Contains(t, fmt.Sprint(entries[0].ContextMap()["error"]), `"n"`)
	w.numbers(t, 7)
	assert.EqualValues(t, 7, f.collect().Total("hp_*fit"))
}

func TestUserEventsNearTheLimitAreReported(t *testing.T) {
	kerneltest.Need(t)
	f := start(t, testConfig(mapping.Event{Event: "hp_large", Metric: instrument.Config{Name: "hp_large", Type: "counter"}}))
	w := register(t, "hp_large __rel_loc u8[] bytes", 0)
	require.NoError(t, w.listened(10*time.Second))
	write := func(size int) {
		payload := make([]byte, size)
		binary.NativeEndian.PutUint32(payload, uint32(size-4)<<16)
		require.NoError(t, w.write(payload))
	}
	write(1000)
	assert.EqualValues(t, 1, f.collect().Total("hp_large"))
	assert.Zero(t, f.tel.nearLimit)
	write(os.Getpagesize() - 200)
	write(os.Getpagesize() - 32) // the largest that there is
	assert.EqualValues(t, 3, f.collect().Total("hp_large"))
	assert.EqualValues(t, 2, f.tel.nearLimit)
	assert.Equal(t, 1, f.logs.FilterMessageSnippet("as long as the kernel takes").Len())
	write(os.Getpagesize() - 31)
	assert.EqualValues(t, 3, f.collect().Total("hp_large"), "the kernel drops it without a word")
}

// An independent instance has its own buffers and counters.
func TestUserEventsSeenAreThoseThatAnotherInstanceCounted(t *testing.T) {
	kerneltest.Need(t)
	f := start(t, testConfig(countEntry("hp_cross", "")))
	w := register(t, "hp_cross u64 n", 0)
	require.NoError(t, w.listened(10*time.Second))
	const other = instances + "hotpath-test-other"
	require.NoError(t, os.Mkdir(other, 0o700))
	t.Cleanup(func() { assert.NoError(t, os.Remove(other)) })
	require.NoError(t, os.WriteFile(other+"/events/user_events/hp_cross/enable", []byte("1"), 0))
	for i := range 20_000 {
		require.NoError(t, w.write(word(uint64(i))))
	}
	seen := int64(f.collect().Total("hp_cross"))
	for _, lost := range f.tel.dropped {
		seen += lost
	}
	assert.Equal(t, counted(t, other), seen)
	assert.EqualValues(t, 20_000, seen)
}

// counted is how many events an instance recorded that nobody reads.
func counted(t *testing.T, instance string) (sum int64) {
	cpus, err := os.ReadDir(instance + "/per_cpu")
	require.NoError(t, err)
	for _, cpu := range cpus {
		stats, err := os.ReadFile(instance + "/per_cpu/" + cpu.Name() + "/stats")
		require.NoError(t, err)
		for line := range strings.Lines(string(stats)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if key == "entries" || key == "overrun" {
				n, err := strconv.ParseInt(value, 10, 64)
				require.NoError(t, err)
				sum += n
			}
		}
	}
	return sum
}
