package segment

import (
	"math"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
)

const (
	// minMeasurement is how many words the shortest measurement has: one with no attributes.
	minMeasurement = layout.MeasurementHeaderSize/8 + 1

	sequenceMask = 1<<(64-layout.TrailerWordsBits) - 1
	sizeMask     = 1<<layout.TrailerWordsBits - 1
)

// Position is how far a measurement ring was read. The zero Position is its beginning.
type Position struct {
	// Words is how many words, of all that were ever written, have been dealt with.
	Words uint64
	// Sequence is the number of the last measurement that was taken, and End where it ended.
	Sequence, End uint64
	// Unnumbered says that neither is known: what is lost before the next measurement cannot be told.
	Unnumbered bool
}

// Window is a copy of the last words of a ring below Head.
type Window struct {
	Words []uint64
	// Head is what the ring's head was before the words were copied, and Later what it was then.
	Head, Later uint64
	RingWords   uint64
}

// Oldest is the first word of a ring that is worth copying for a reader at p.
func (p *Position) Oldest(head, ringWords uint64) uint64 {
	return max(p.Words, head-min(head, ringWords))
}

// Measurements takes whole measurements out of windows, oldest first. Its memory is used again for the next window.
type Measurements struct {
	words []uint64
	sizes []uint16 // newest first
}

// Read takes a window, and advances p past it. It returns how many measurements were lost that lie before those that Next is going to return,
// and whether something in the window was malformed: what is older than that is lost.
func (m *Measurements) Read(p *Position, w *Window) (lost uint64, malformed bool) {
	m.sizes = m.sizes[:0]
	if w.Head > math.MaxInt64 || w.Later > math.MaxInt64 {
		return 0, true
	}
	if w.Head < p.Words || w.Later < w.Head {
		*p = Position{Words: w.Head, Unnumbered: true}
		return 0, true
	}
	base := w.Head - min(w.Head, uint64(len(w.Words)))
	words := w.Words[uint64(len(w.Words))-(w.Head-base):]
	first := max(p.Words, base)
	// The next measurement may be under way there, whose words are not part of the ring yet.
	if touched := w.Later + layout.MaxMeasurement; touched > w.RingWords {
		first = max(first, touched-w.RingWords)
	}
	end, oldest := w.Head, uint64(0)
	for end > first {
		trailer := words[end-1-base]
		size, sequence := trailer&sizeMask, trailer>>layout.TrailerWordsBits
		if size < minMeasurement || size > layout.MaxMeasurement || len(m.sizes) > 0 && sequence != (oldest-1)&sequenceMask {
			malformed = true
			break
		}
		if size > end-first {
			malformed = first == p.Words // else its beginning was overwritten
			break
		}
		m.sizes = append(m.sizes, uint16(size))
		end, oldest = end-size, sequence
	}
	if len(m.sizes) == 0 {
		if malformed {
			p.Words = w.Head
		}
		return 0, malformed
	}
	if !p.Unnumbered {
		lost = (oldest - p.Sequence - 1) & sequenceMask
		// So many may have been where nothing was taken from; more is a lie.
		if room := (end - p.End) / minMeasurement; lost > room {
			lost, malformed = room, true
		}
	}
	m.words = words[end-base:]
	*p = Position{Words: w.Head, End: w.Head, Sequence: words[len(words)-1] >> layout.TrailerWordsBits}
	return lost, malformed
}

// Next returns the words of the next measurement, without its trailer, or nil if there is none.
func (m *Measurements) Next() []uint64 {
	last := len(m.sizes) - 1
	if last < 0 {
		m.words = nil
		return nil
	}
	size := int(m.sizes[last])
	m.sizes = m.sizes[:last]
	words := m.words[: size-1 : size-1]
	m.words = m.words[size:]
	return words
}
