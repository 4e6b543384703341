package segment_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

// reading is what a reader makes of a ring.
type reading struct {
	ring      *segmenttest.Ring
	at        segment.Position
	m         segment.Measurements
	values    []uint64
	lost      uint64
	malformed int
}

func (r *reading) read() {
	words, head := r.ring.Copy(r.at.Words)
	r.window(&segment.Window{Words: words, Head: head, Later: head, RingWords: uint64(len(r.ring.Words))})
}

func (r *reading) window(w *segment.Window) {
	lost, malformed := r.m.Read(&r.at, w)
	r.lost += lost
	if malformed {
		r.malformed++
	}
	for words := r.m.Next(); words != nil; words = r.m.Next() {
		r.values = append(r.values, words[1])
	}
}

// write writes measurements of so many words each, whose value is their number.
func write(ring *segmenttest.Ring, n, words int) {
	for range n {
		m := make([]uint64, words-1)
		m[1] = ring.Last()>>layout.TrailerWordsBits + 1
		ring.Write(m)
	}
}

func upTo(from, to uint64) (numbers []uint64) {
	for n := from; n <= to; n++ {
		numbers = append(numbers, n)
	}
	return numbers
}

func TestRingIsReadFromWhereItWasLeft(t *testing.T) {
	r := reading{ring: segmenttest.NewRing(layout.MinRingWords)}
	r.read()
	assert.Empty(t, r.values)
	for i := range 400 { // 11 times around
		write(r.ring, 1+i%5, 3+i*7%60)
		r.read()
	}
	assert.Equal(t, upTo(1, 1200), r.values)
	assert.Zero(t, r.lost)
	assert.Zero(t, r.malformed)
	r.read()
	assert.Len(t, r.values, 1200)
}

func TestWhatARingOverwroteIsLostExactly(t *testing.T) {
	for _, size := range []int{3, 7, 100, 512} {
		r := reading{ring: segmenttest.NewRing(layout.MinRingWords)}
		written := 0
		for i := range 20 {
			n := layout.MinRingWords/size*i/5 + i
			write(r.ring, n, size)
			written += n
			r.read()
			require.Equal(t, written, len(r.values)+int(r.lost), "%d words, round %d", size, i)
		}
		assert.Zero(t, r.malformed)
		assert.NotZero(t, r.lost)
		assert.Equal(t, uint64(written), r.values[len(r.values)-1])
		assert.IsIncreasing(t, r.values)
	}
}

func TestWhatMayHaveBeenOverwrittenDuringTheCopyIsLost(t *testing.T) {
	r := reading{ring: segmenttest.NewRing(layout.MinRingWords)}
	write(r.ring, 300, 10)
	words, head := r.ring.Copy(0)
	w := segment.Window{Words: words, Head: head, Later: head + 2000, RingWords: layout.MinRingWords}
	r.window(&w)
	// Words below 3000 + 2000 + 512 - 4096 = 1416 are not to be trusted.
	assert.Equal(t, upTo(143, 300), r.values)
	assert.EqualValues(t, 142, r.lost)

	write(r.ring, 1, 10)
	words, head = r.ring.Copy(r.at.Words)
	r.window(&segment.Window{Words: words, Head: head, Later: head + layout.MinRingWords, RingWords: layout.MinRingWords})
	assert.Len(t, r.values, 158, "none is left")
	assert.EqualValues(t, 142, r.lost, "the next time tells")
	write(r.ring, 500, 10)
	r.read()
	assert.EqualValues(t, 801, len(r.values)+int(r.lost))
	assert.Zero(t, r.malformed)
}

func TestReaderThatBeginsLaterKnowsWhatWasLostSince(t *testing.T) {
	ring := segmenttest.NewRing(layout.MinRingWords)
	write(ring, 50, 100)
	r := reading{ring: ring, at: segment.Position{Words: 5000, End: 5000, Sequence: 50}}
	write(ring, 45, 100)
	r.read()
	assert.Equal(t, 45, len(r.values)+int(r.lost))
	assert.NotZero(t, r.lost)

	unnumbered := reading{ring: ring, at: segment.Position{Words: 5000, Unnumbered: true}}
	unnumbered.read()
	assert.Equal(t, r.values, unnumbered.values)
	assert.Zero(t, unnumbered.lost)
	write(ring, 1, 3)
	unnumbered.read()
	assert.Zero(t, unnumbered.lost+uint64(unnumbered.malformed))
}

func TestSequenceNumbersWrap(t *testing.T) {
	ring := segmenttest.NewRing(layout.MinRingWords)
	const last = 1<<48 - 1
	ring.Raw([]uint64{0, last}, last<<16|3)
	r := reading{ring: ring, at: segment.Position{Sequence: last - 1}}
	r.read()
	ring.Raw([]uint64{0, 0}, 3)
	r.read()
	assert.Equal(t, []uint64{last, 0}, r.values)
	assert.Zero(t, r.lost)
}

func TestHostileRings(t *testing.T) {
	type ring = segmenttest.Ring
	three := []uint64{0, 7}
	for name, tt := range map[string]struct {
		write  func(*ring) // behind 10 good measurements of 10 words, which were read
		values int
		lost   uint64
	}{
		"a trailer of length 0":             {func(r *ring) { r.Raw(three, 11<<16) }, 0, 0},
		"a trailer of length 2":             {func(r *ring) { r.Raw(three, 11<<16|2) }, 0, 0},
		"a measurement that is too long":    {func(r *ring) { write(r, 1, 513) }, 0, 0},
		"a trailer into what was read":      {func(r *ring) { r.Raw(three, 11<<16|4) }, 0, 0},
		"a trailer into nothing":            {func(r *ring) { r.Raw(three, 11<<16|512) }, 0, 0},
		"a number twice":                    {func(r *ring) { r.Raw(three, 10<<16|3) }, 1, 0},
		"a number that goes back":           {func(r *ring) { r.Raw(three, 3<<16|3) }, 1, 0},
		"a number that jumps":               {func(r *ring) { r.Raw(three, 12<<16|3) }, 1, 0},
		"the largest number":                {func(r *ring) { r.Raw(three, 0xffffffffffff0003) }, 1, 0},
		"a number that jumps on the way":    {func(r *ring) { write(r, 2, 3); r.Raw(three, 14<<16|3); write(r, 1, 3) }, 2, 2},
		"a number that goes back on a way":  {func(r *ring) { write(r, 2, 3); r.Raw(three, 12<<16|3); write(r, 1, 3) }, 2, 1},
		"a trailer that leads nowhere":      {func(r *ring) { r.Raw(three, 0); r.Raw(three, 12<<16|3); write(r, 3, 3) }, 4, 1},
		"a head that goes back":             {func(r *ring) { r.Head.Store(50) }, 0, 0},
		"a head of 0":                       {func(r *ring) { r.Head.Store(0) }, 0, 0},
		"a head beyond anything":            {func(r *ring) { r.Head.Store(1 << 63) }, 0, 0},
		"the largest head":                  {func(r *ring) { r.Head.Store(^uint64(0)) }, 0, 0},
		"a head far away, and zeros":        {func(r *ring) { r.Head.Store(1 << 40) }, 0, 0},
		"a head far away, and a number":     {func(r *ring) { r.Head.Store(1 << 40); r.Raw(three, 1<<46|3) }, 1, 1<<30 - 11},
		"a head far away, and a far number": {func(r *ring) { r.Head.Store(1 << 40); r.Raw(three, 0xffffffffffff0003) }, 1, (1<<40 - 100) / 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := reading{ring: segmenttest.NewRing(layout.MinRingWords)}
			write(r.ring, 10, 10)
			r.read()
			r.values = nil
			tt.write(r.ring)
			r.read()
			if name != "a head far away, and a number" {
				assert.Equal(t, 1, r.malformed)
			}
			assert.Len(t, r.values, tt.values)
			assert.Equal(t, tt.lost, r.lost)

			// Once it behaves, it is read again.
			r.ring.Head.Store(r.ring.Head.Load()%(1<<62) + 1)
			*r.ring.At(r.ring.Head.Load() - 1) = 99 << 16
			r.read()
			r.values = nil
			write(r.ring, 5, 10)
			r.read()
			assert.Equal(t, upTo(100, 104), r.values)
		})
	}
}

// FuzzRing has readers follow a ring in which anything may stand, behind heads of any number.
func FuzzRing(f *testing.F) {
	ring := segmenttest.NewRing(4096)
	write(ring, 40, 5)
	var good []byte
	for _, w := range ring.Words[:200] {
		good = binary.NativeEndian.AppendUint64(good, w)
	}
	f.Add(good, uint64(0), uint64(0), uint64(200), uint64(200))
	f.Add(good, uint64(100), uint64(20), uint64(200), uint64(4000))
	f.Add(good, uint64(0), uint64(0), uint64(1<<40), ^uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, at, sequence, head, later uint64) {
		ring := segmenttest.NewRing(4096)
		for i := range len(b) / 8 {
			*ring.At(head - uint64(len(b)/8) + uint64(i)) = binary.NativeEndian.Uint64(b[i*8:])
		}
		ring.Head.Store(head)
		var m segment.Measurements
		p := segment.Position{Words: at, End: at, Sequence: sequence & (1<<48 - 1)}
		var words []uint64
		if head < 1<<63 && head >= at {
			for n := p.Oldest(head, 4096); n < head; n++ {
				words = append(words, *ring.At(n))
			}
		}
		lost, malformed := m.Read(&p, &segment.Window{Words: words, Head: head, Later: later, RingWords: 4096})
		if room := (head - at) / 3; lost > 0 && lost > room {
			t.Fatalf("%d lost in %d words", lost, head-at)
		}
		taken := 0
		for words := m.Next(); words != nil; words = m.Next() {
			if len(words) < 2 || len(words) > 511 {
				t.Fatalf("%d words", len(words))
			}
			taken += len(words) + 1
			if parsed, ok := segment.ParseMeasurement(words); ok {
				parsed.Attributes(nil)
			}
		}
		if taken > len(words) || p.Words > head || p.End > p.Words && !malformed {
			t.Fatalf("%d words of %d, then %+v", taken, len(words), p)
		}
	})
}

// FuzzRaces has a writer that keeps to the format go on between a reader's two looks at the head, as far as it likes: every measurement is
// read whole or counted as lost.
func FuzzRaces(f *testing.F) {
	f.Add([]byte{0, 10, 1, 0, 2, 40, 1, 0})
	f.Add([]byte{2, 255, 3, 200, 1, 0, 3, 255, 3, 255, 1, 0, 0, 255})
	f.Fuzz(func(t *testing.T, script []byte) {
		r := reading{ring: segmenttest.NewRing(layout.MinRingWords)}
		written := uint64(0)
		measurement := func(size int) []uint64 {
			words := make([]uint64, size-1)
			for i := range words {
				words[i] = written + 1
			}
			return words
		}
		write := func(n, size int) {
			for range n {
				r.ring.Write(measurement(size))
				written++
			}
		}
		take := func(between func()) {
			head := r.ring.Head.Load()
			from := r.at.Oldest(head, layout.MinRingWords)
			between()
			w := segment.Window{Head: head, RingWords: layout.MinRingWords}
			for n := from; n < head; n++ {
				w.Words = append(w.Words, *r.ring.At(n))
			}
			w.Later = r.ring.Head.Load()
			lost, malformed := r.m.Read(&r.at, &w)
			r.lost += lost
			if malformed {
				t.Fatal("malformed")
			}
			for words := r.m.Next(); words != nil; words = r.m.Next() {
				for _, w := range words {
					if w != words[0] {
						t.Fatalf("torn: %d", words)
					}
				}
				if n := len(r.values); n > 0 && words[0] <= r.values[n-1] {
					t.Fatalf("%d after %d", words[0], r.values[n-1])
				}
				r.values = append(r.values, words[0])
			}
		}
		if len(script) > 200 {
			return
		}
		for ; len(script) >= 2; script = script[2:] {
			n := int(script[1])
			switch script[0] % 4 {
			case 0:
				write(1, 3+2*n%510)
			case 1:
				write(n, 3+int(script[0])/4)
			case 2:
				take(func() {})
			case 3:
				take(func() {
					write(n, 3+int(script[0])/2)
					head := r.ring.Head.Load() // and one more is under way
					for i := range uint64(layout.MaxMeasurement) {
						*r.ring.At(head + i) = ^uint64(0)
					}
				})
			}
		}
		write(1, 3)
		take(func() {})
		if got := uint64(len(r.values)) + r.lost; got != written {
			t.Fatalf("%d read and %d lost of %d", len(r.values), r.lost, written)
		}
	})
}
