package emit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
)

func TestLastValuesAreHandedOverUntilAcceptedThenTheEndUntilAccepted(t *testing.T) {
	var l emit.Life
	l.Advance(false)
	assert.Equal(t, emit.Live, l.State)
	assert.False(t, l.Commit())
	l.Advance(true)
	assert.Equal(t, emit.Final, l.State)
	l.Advance(true) // the last one was refused
	assert.Equal(t, emit.Final, l.State)
	assert.False(t, l.Ended())
	assert.False(t, l.Commit())
	assert.True(t, l.Ended())
	l.Advance(true)
	assert.Equal(t, emit.Gone, l.State)
	l.Advance(true)
	assert.Equal(t, emit.Gone, l.State)
	assert.True(t, l.Commit())
}

func TestCommitSaysNothingOfWhatCameAfterTheCollection(t *testing.T) {
	var l emit.Life
	assert.False(t, l.Commit())
	l.Advance(false)
	l.End()
	assert.False(t, l.Commit(), "its end was not told yet")
	assert.False(t, l.Commit())
	l.Advance(false)
	assert.Equal(t, emit.Gone, l.State)
	assert.True(t, l.Commit())
}

func TestWhatABrokenCollectionDidNotComeToIsNotAccepted(t *testing.T) {
	var l emit.Life
	l.Advance(true)
	l.Hold()
	assert.False(t, l.Commit())
	assert.False(t, l.Ended())
	l.Advance(true)
	l.Commit()
	l.Advance(true)
	l.Hold()
	assert.False(t, l.Commit(), "its end was not told")
}

func TestSinkMeetsAProcessOncePerCollection(t *testing.T) {
	var l emit.Life
	var sink emittest.Recorder
	for range 2 {
		l.Advance(false)
		l.Begin(&sink)
		l.Begin(&sink)
	}
	assert.Len(t, sink.Processes, 2)
}

func TestTimesInTheFutureAreTakenBackForGood(t *testing.T) {
	l := emit.Life{Process: emit.Process{Start: 5e9 + 1, Time: 9e9}}
	l.Bound(5e9)
	assert.EqualValues(t, 4e9, l.Start)
	assert.EqualValues(t, 4e9, l.Time)
	l.Bound(6e9)
	assert.EqualValues(t, 4e9, l.Start)
	l = emit.Life{Process: emit.Process{Start: 4e9 + int64(time.Millisecond), Time: 9e9}}
	l.Bound(5e9)
	assert.EqualValues(t, 4e9+int64(time.Millisecond), l.Start)
	assert.Equal(t, l.Start, l.Time, "no point ends before it starts")
}
