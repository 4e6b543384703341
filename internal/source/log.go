package source

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Of each message, logAtMost are logged in logEvery.
const (
	logEvery  = 10 * time.Second
	logAtMost = 10
)

// Bounded returns a logger that leaves some of each message, for sources of which anybody can have thousands of things refused:
// those are counted all.
func Bounded(logger *zap.Logger) *zap.Logger {
	return logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, logEvery, logAtMost, 0)
	}))
}
