package process

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
)

func TestLastValuesAreHandedOverUntilAcceptedThenTheEndUntilAccepted(t *testing.T) {
	var l Life
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
	var l Life
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
	var l Life
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
	var l Life
	var sink emittest.Recorder
	for range 2 {
		l.Advance(false)
		l.Begin(&sink)
		l.Begin(&sink)
	}
	assert.Len(t, sink.Processes, 2)
}

func TestTimesInTheFutureAreTakenBackForGood(t *testing.T) {
	l := Life{Process: emit.Process{Start: 5e9 + 1, Time: 9e9}}
	l.Bound(5e9)
	assert.EqualValues(t, 4e9, l.Start)
	assert.EqualValues(t, 4e9, l.Time)
	l.Bound(6e9)
	assert.EqualValues(t, 4e9, l.Start)
	l = Life{Process: emit.Process{Start: 4e9 + int64(time.Millisecond), Time: 9e9}}
	l.Bound(5e9)
	assert.EqualValues(t, 4e9+int64(time.Millisecond), l.Start)
	assert.Equal(t, l.Start, l.Time, "no point ends before it starts")
}

func TestDescribeOutweighsWhatAProcessSaysOfItself(t *testing.T) {
	text := func(key, value string) emit.Attribute {
		return emit.Attribute{Key: key, Type: emit.AttributeString, Str: value}
	}
	number := func(key string, n uint64) emit.Attribute {
		return emit.Attribute{Key: key, Type: emit.AttributeInt, Bits: n}
	}
	client := []emit.Attribute{text("process.executable.name", "liar"), number("process.user.id", 0), text("service.name", ""), text("zone", "a")}
	known := Identity{PID: 7, UID: 1000, Executable: "shop"}
	assert.Equal(t, []emit.Attribute{
		text("process.executable.name", "shop"), number("process.pid", 7), number("process.user.id", 1000),
		text("service.name", "unknown_service"), text("zone", "a"),
	}, known.Describe(client))
	assert.Equal(t, "liar", client[0].Str)
	unknown := Identity{PID: 7, UID: NoUID}
	assert.Equal(t, []emit.Attribute{number("process.pid", 7), text("service.name", "shop")},
		unknown.Describe([]emit.Attribute{text("service.name", "shop")}))
	assert.Equal(t, "00010203-0405-0607-0809-0a0b0c0d0e0f", UUID([16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}))
}
