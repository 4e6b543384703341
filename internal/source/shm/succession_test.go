package shm

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

// successor is a segment of the process of segmentstest.Requests(1) after it executed its own binary again.
func successor(start int64) segmenttest.Segment {
	s := segmentstest.Requests(2)
	s.StartTime = start
	return s
}

func TestProcessThatExecutesItselfAgainIsOneSeriesWithAReset(t *testing.T) {
	for name, tt := range map[string]struct{ start, end int64 }{
		"that began later":                 {5000, 5000},
		"that claims to have begun before": {500, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			old := f.publish("a", segmentstest.Requests(1))
			old.Word(segmenttest.StripeWord(0, 1)).Store(4)
			first := f.one()
			f.src.Commit()
			old.Die()
			live := f.publish("b", successor(tt.start))
			live.Word(segmenttest.StripeWord(0, 1)).Store(2)

			for range 3 { // it is refused twice
				processes := f.collect()
				require.Len(t, processes, 2)
				assert.Same(t, first.Address, processes[0].Address)
				assert.Equal(t, emit.Final, processes[0].State)
				assert.Equal(t, map[string]uint64{"requests": 4}, processes[0].Counters)
				assert.Equal(t, tt.end, processes[0].Time, "not at the time of the one that lives")
				assert.Equal(t, emit.Live, processes[1].State)
				assert.Equal(t, map[string]uint64{"requests": 2}, processes[1].Counters)
				assert.Equal(t, tt.start, processes[1].Start)
				assert.Zero(t, processes[1].Time)
			}
			f.src.Commit()
			assert.Equal(t, []string{"b"}, f.names())
			assert.Equal(t, emit.Live, f.one().State, "the old one's end is not told: its series go on")
			f.src.Commit()

			live.Die()
			assert.Equal(t, emit.Final, f.one().State)
			f.src.Commit()
			assert.Equal(t, emit.Gone, f.one().State)
			f.src.Commit()
			assert.Empty(t, f.collect())
			assert.Zero(t, f.src.set.Len())
		})
	}
}
