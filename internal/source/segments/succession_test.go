package segments

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

func TestSuccessorTakesTheSeriesOverBeforeTheirEndIsTold(t *testing.T) {
	for name, dies := range map[string]bool{"that lives": false, "that died since": true} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			f.publish("a", segmentstest.Requests(1)).Die()
			assert.Equal(t, emit.Final, f.one().State)
			f.set.Commit()
			assert.Equal(t, emit.Gone, f.one().State) // refused

			successor := segmentstest.Requests(2)
			successor.StartTime = 5000
			live := f.publish("b", successor)
			want := emit.Live
			if dies {
				live.Die()
				want = emit.Final
			}
			p := f.one()
			assert.Equal(t, want, p.State)
			assert.EqualValues(t, 5000, p.Start)
			f.set.Commit()
			assert.Len(t, f.set.processes, 1)
			held := quota.New(f.set.limits.Limits)
			held.Charge(uint32(os.Geteuid()), 1, 1)
			assert.Equal(t, held, f.set.quota, "of the successor alone")
		})
	}
}
