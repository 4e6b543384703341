package otlp

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxDepth is how deep messages may lie in each other: what protobuf's parsers for C++ and Java take.
const maxDepth = 100

// checker goes through a request from end to end. What it passes, pdata takes and so does any other
// parser of protobuf: text is UTF-8, groups are refused. So no request can spoil what it is merged with.
type checker struct {
	// size is about how many bytes pdata takes for the points and attributes in what was checked.
	size int
	// metrics are the shares of its metrics, in order.
	metrics []int
	// Resources and scopes that passed: nearly all come again.
	resources, scopes memo[struct{}]
}

// maxKnown is how many bytes resources may take, and scopes, before those that passed are forgotten.
const maxKnown = 1 << 20

// request says whether b is an ExportMetricsServiceRequest.
func (c *checker) request(b []byte) bool {
	c.size = 0
	c.metrics = c.metrics[:0]
	return c.message(b, request, maxDepth)
}

func (c *checker) message(b []byte, id messageID, depth int) bool {
	if depth == 0 {
		return false
	}
	before := c.size
	schema := &schemas[id]
	c.size += schema.size
	for len(b) > 0 {
		number, wire, value, n := split(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		if int(number) >= len(schema.fields) {
			continue
		}
		f := schema.fields[number]
		if wire == protowire.BytesType {
			var ok bool
			switch f.kind {
			case message:
				ok = c.message(value, f.of, depth-1)
			case text:
				c.size += 16 + len(value)
				ok = utf8.Valid(value)
			default:
				ok = c.bytes(value, f, depth-1)
			}
			if !ok {
				return false
			}
		} else if f.kind != unknown && wire != wireTypes[f.kind] {
			return false
		} else if f.kind >= varints {
			c.size += 16
		}
	}
	if id == metric {
		c.metrics = append(c.metrics, c.size-before)
	}
	return true
}

// bytes checks what a field holds that is neither text nor an ordinary message.
func (c *checker) bytes(b []byte, f field, depth int) bool {
	switch f.kind {
	case resourceMessage:
		return c.shared(b, resource, depth, &c.resources)
	case scopeMessage:
		return c.shared(b, scope, depth, &c.scopes)
	case octets:
		c.size += len(b)
	case spanID:
		return len(b) == 0 || len(b) == 8
	case traceID:
		return len(b) == 0 || len(b) == 16
	case fixed64s:
		c.size += len(b)
		return len(b)%8 == 0
	case varints:
		for len(b) > 0 {
			_, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return false
			}
			b = b[n:]
			c.size += 16
		}
	case varint, fixed64:
		return false
	}
	return true
}

// shared checks what many requests have in common.
func (c *checker) shared(b []byte, id messageID, depth int, passed *memo[struct{}]) bool {
	if _, ok := passed.find(b); ok {
		return true
	}
	if !c.message(b, id, depth) {
		return false
	}
	if passed.size > maxKnown {
		*passed = memo[struct{}]{}
	}
	passed.add(b, struct{}{})
	return true
}

// split returns a message's first field and its length, negative if there is none. The value is what
// follows the tag, and the length where there is one.
func split(b []byte) (number protowire.Number, wire protowire.Type, value []byte, length int) {
	// Nearly all tags and lengths are of one byte.
	if len(b) > 1 && b[0] >= 1<<3 && b[0] < 0x80 {
		number, wire = protowire.Number(b[0]>>3), protowire.Type(b[0]&7)
		switch {
		case wire == protowire.BytesType && b[1] < 0x80:
			if end := 2 + int(b[1]); end <= len(b) {
				return number, wire, b[2:end], end
			}
		case wire == protowire.VarintType && b[1] < 0x80:
			return number, wire, b[1:2], 2
		case wire == protowire.Fixed64Type && len(b) >= 9:
			return number, wire, b[1:9], 9
		}
	}
	number, wire, head := protowire.ConsumeTag(b)
	if head < 0 || number > protowire.MaxValidNumber {
		return 0, 0, nil, -1
	}
	value = b[head:]
	n := -1
	switch wire {
	case protowire.BytesType:
		if value, n = protowire.ConsumeBytes(value); n < 0 {
			return 0, 0, nil, -1
		}
		return number, wire, value, head + n
	case protowire.VarintType:
		_, n = protowire.ConsumeVarint(value)
	case protowire.Fixed64Type:
		n = 8
	case protowire.Fixed32Type:
		n = 4
	}
	if n < 0 || n > len(value) {
		return 0, 0, nil, -1
	}
	return number, wire, value[:n], head + n
}
