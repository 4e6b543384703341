package otlpevent

import (
	"encoding/binary"

	"github.com/hotpath-metrics/hotpath/internal/otlp"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

// fields are those that the exporters for Rust and .NET declare.
const fields = "u32 protocol; char[8] version; __rel_loc u8[] buffer"

// protobuf is the only protocol that is defined.
const protobuf = 0

// declared takes events with fields. The version does not matter: requests of one read as those of another.
type declared struct {
	*Ingest
	protocol, buffer *format.Field
}

// Handle implements [event.Handler].
func (h *declared) Handle(e *event.Event) {
	protocol, ok := h.protocol.Uint(e.Record)
	if ok && protocol != protobuf {
		h.skip(skipProtocol, 1)
		return
	}
	request, inside := h.buffer.Bytes(e.Record)
	if !ok || !inside {
		h.skip(otlp.ReasonMalformed, 1)
		return
	}
	h.metrics.Add(request)
}

// sized takes events without fields, as the C++ exporter writes them: an int32 with the size of the request that
// follows. The record may go on behind it, as the kernel fills up its last word.
type sized struct {
	*Ingest
	offset int
}

// Handle implements [event.Handler].
func (h *sized) Handle(e *event.Event) {
	if len(e.Record) < h.offset+4 {
		h.skip(otlp.ReasonMalformed, 1)
		return
	}
	size := int32(binary.NativeEndian.Uint32(e.Record[h.offset:]))
	request := e.Record[h.offset+4:]
	if size < 0 || int(size) > len(request) {
		h.skip(otlp.ReasonMalformed, 1)
		return
	}
	h.metrics.Add(request[:size])
}
