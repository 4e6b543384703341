package otlp

// memo remembers what bytes stand for. What was found last is found first, without hashing: processes
// write many requests in a row.
type memo[T any] struct {
	entries map[string]*memoEntry[T]
	last    *memoEntry[T]
	size    int // about how many bytes it takes
}

// memoEntrySize is about what an entry takes beside its bytes.
const memoEntrySize = 128

type memoEntry[T any] struct {
	bytes string
	value T
}

func (m *memo[T]) find(b []byte) (value T, ok bool) {
	if e := m.last; e != nil && e.bytes == string(b) {
		return e.value, true
	}
	e, ok := m.entries[string(b)]
	if !ok {
		return value, false
	}
	m.last = e
	return e.value, true
}

func (m *memo[T]) add(b []byte, value T) {
	if m.entries == nil {
		m.entries = map[string]*memoEntry[T]{}
	}
	e := &memoEntry[T]{string(b), value}
	m.entries[e.bytes] = e
	m.last = e
	m.size += len(b) + memoEntrySize
}
