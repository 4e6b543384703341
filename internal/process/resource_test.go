package process

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

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
