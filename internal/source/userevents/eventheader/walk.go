package eventheader

import "encoding/binary"

// walk is the way through the values of one event.
type walk struct {
	data   []byte // not walked through yet
	order  binary.ByteOrder
	values []Value
	text   []byte
}

// steps takes all steps. It is false where the data ends too soon.
func (w *walk) steps(steps []step) bool {
	for i := range steps {
		s := &steps[i]
		var ok bool
		switch s.op {
		case opSkip:
			_, ok = w.take(s.n)
		case opValue:
			var b []byte
			if b, ok = w.take(s.n); ok {
				w.set(s, w.fixed(b, s.format))
			}
		case opNul:
			ok = w.terminated(s)
		case opCounted:
			ok = w.counted(s)
		case opConstant:
			ok = w.array(s, s.n)
		case opVariable:
			var n int
			if n, ok = w.length(); ok {
				ok = w.array(s, n)
			}
		}
		if !ok {
			return false
		}
	}
	return true
}

// take takes n bytes off the data.
func (w *walk) take(n int) ([]byte, bool) {
	if n > len(w.data) {
		return nil, false
	}
	b := w.data[:n:n]
	w.data = w.data[n:]
	return b, true
}

// length is that of a string or an array.
func (w *walk) length() (int, bool) {
	b, ok := w.take(2)
	if !ok {
		return 0, false
	}
	return int(w.order.Uint16(b)), true
}

// array goes through n elements. Each takes at least one byte, or ends the walk, so that n may be anything.
func (w *walk) array(s *step, n int) bool {
	if len(s.elements) == 1 && s.elements[0].op == opSkip {
		_, ok := w.take(n * s.elements[0].n)
		return ok
	}
	for range n {
		if !w.steps(s.elements) {
			return false
		}
	}
	return true
}

// terminated goes through a string that ends with a NUL, of which there must be one.
func (w *walk) terminated(s *step) bool {
	for end := 0; end+s.n <= len(w.data); end += s.n {
		if unit(w.data[end:], s.n, w.order) == 0 {
			b, _ := w.take(end)
			w.data = w.data[s.n:]
			w.setString(s, b)
			return true
		}
	}
	return false
}

// counted goes through a string that begins with its length, in characters.
func (w *walk) counted(s *step) bool {
	n, ok := w.length()
	if !ok {
		return false
	}
	b, ok := w.take(n * s.n)
	if ok {
		w.setString(s, b)
	}
	return ok
}

func (w *walk) setString(s *step, b []byte) {
	if len(s.wanted) == 0 {
		return // converting it would be for nothing
	}
	w.set(s, w.str(b, s))
}

func (w *walk) set(s *step, v Value) {
	for _, i := range s.wanted {
		w.values[i] = v
	}
}
