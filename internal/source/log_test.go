package source

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestBoundedLoggerLeavesSomeOfEachMessage(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	logger := Bounded(zap.New(core))
	for range 1000 {
		logger.Warn("a flood")
	}
	logger.Warn("something else")
	assert.Equal(t, logAtMost, logs.FilterMessage("a flood").Len())
	assert.Equal(t, 1, logs.FilterMessage("something else").Len())
}
