package uring

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/uring/uringtest"
)

func TestMessagesAreSplitInWhateverPieces(t *testing.T) {
	messages := [][]byte{anyone().Bytes(), uringtest.Series(requests), uringtest.Message(9, nil), uringtest.Message(3, make([]byte, 131072))}
	all := bytes.Join(messages, nil)
	for _, size := range []int{1, 2, 7, 8, 9, 100, 4096, len(all)} {
		var got [][]byte
		var kept []byte
		for at := 0; at < len(all); at += size {
			kept = append(kept, all[at:min(at+size, len(all))]...)
			for {
				m, rest, err := next(kept)
				require.NoError(t, err)
				kept = rest
				if m == nil {
					break
				}
				got = append(got, bytes.Clone(m))
			}
		}
		require.Equal(t, messages, got, "in pieces of %d", size)
		require.Empty(t, kept)
	}
}

func TestHelloBecomesAHeaderThatReadersTake(t *testing.T) {
	h := anyone()
	h.Catalogue, h.Shared, h.Stripe, h.Start = 8<<20-512, 64, 4096, 77
	h.Ring = 42
	said, err := parseHello(h.Bytes())
	require.NoError(t, err)
	assert.EqualValues(t, 42, said.ring)
	var b [512]byte
	said.putHeader(b[:])
	header, err := segment.ParseHeader(b[:], int64(said.header.FileSize))
	require.NoError(t, err)
	assert.EqualValues(t, 77, header.StartTime)
	assert.EqualValues(t, h.ID, header.ID)
	assert.EqualValues(t, h.PID, header.PID)
	assert.Equal(t, h.Instance, header.Instance)
	assert.Equal(t, []int64{4096, 8<<20 - 512, 64, 4096}, []int64{header.CatalogueOffset, header.CatalogueSize, header.SharedSize, header.StripeSize})
	assert.EqualValues(t, len(said.resource), header.CatalogueUsed)
	assert.EqualValues(t, 1, header.StripesUsed)
}

// FuzzMessages has the parser take whatever comes: it may refuse it, and never reads beyond it.
func FuzzMessages(f *testing.F) {
	f.Add(anyone().Bytes())
	f.Add(append(anyone().Bytes(), uringtest.Series(requests, segmenttest.Histogram(8, "h"), segmenttest.Gauge(1, "g"))...))
	f.Add(uringtest.Series(segmenttest.Counter(1<<63, "far")))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:len(b):len(b)]
		for {
			m, rest, err := next(b)
			if err != nil || m == nil {
				return
			}
			if len(m)+len(rest) != len(b) || len(m) < 8 {
				t.Fatal("bytes are lost")
			}
			b = rest
			if h, err := parseHello(m); err == nil {
				a := h.header
				if a.SharedOffset < a.CatalogueOffset+a.CatalogueSize || a.StripesOffset < a.SharedOffset+a.SharedSize || a.FileSize != a.StripesOffset+a.StripeSize ||
					a.FileSize > 4*maxArea || a.FileSize%pageSize != 0 || uint64(len(h.resource)) > a.CatalogueSize {
					t.Fatalf("%+v", a)
				}
			}
			for records := m[8:]; len(records) > 0; {
				r, rest, err := nextRecord(records)
				if err != nil {
					break
				}
				if len(r.bytes) == 0 || len(r.bytes)+len(rest) != len(records) || r.end > maxArea {
					t.Fatal("a record of nothing, or of too much")
				}
				records = rest
			}
		}
	})
}

// FuzzImage has a hostile client of which all messages and completions are arbitrary.
func FuzzImage(f *testing.F) {
	f.Add(uringtest.Series(requests)[8:], []byte{1, 0, 0, 0, 2, 0, 0, 0x20}, uint16(64), byte(1))
	f.Fuzz(func(t *testing.T, records, indexes []byte, shared uint16, pages byte) {
		h := uringtest.Hello{ID: 1, Start: 1, Catalogue: 4096, Shared: uint64(shared) &^ 63, Stripe: (uint64(pages)%64 + 1) * pageSize}
		said, err := parseHello(h.Bytes())
		if err != nil {
			return
		}
		budget := newMemory(128 << 10)
		m, fd, err := newImage(&said, 1, budget)
		if err != nil {
			return
		}
		defer m.abandon(fd)
		for len(records) > 0 {
			r, rest, err := nextRecord(records)
			if err != nil {
				break
			}
			if m.append(r) != nil {
				break
			}
			records = rest
		}
		var got received
		for ; len(indexes) >= 4; indexes = indexes[1:] {
			m.apply(entriesOf(int32(binary.NativeEndian.Uint32(indexes))), &got)
		}
		if m.charged > budget.limit || budget.sum != m.charged {
			t.Fatal("beyond the budget", m.charged, budget.sum)
		}
		if used := binary.NativeEndian.Uint64(m.memory[192:]); used != uint64(m.used) || used > h.Catalogue {
			t.Fatal("catalogue_used", used)
		}
	})
}
