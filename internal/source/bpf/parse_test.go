package bpf

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseMapping(t *testing.T) {
	for _, c := range []struct {
		line       string
		start, end uint64
		ok         bool
	}{
		{"7f0123456000-7f0123457000 rw-s 00000000 00:01 4711                       /memfd:hotpath (deleted)", 0x7f0123456000, 0x7f0123457000, true},
		{"7f0123456000-7f0123457000 rw-s 00010000 00:01 4711                       /memfd:hotpath (deleted)", 0, 0, false},
		{"7f0123456000-7f0123457000 rw-s 00000000 00:01 4711                       /memfd:hotpath2 (deleted)", 0, 0, false},
		{"7f0123456000-7f0123457000 rw-p 00000000 08:01 4711 /tmp/x /memfd:hotpath (deleted)", 0, 0, false},
		{"7f0123456000 rw-s 00000000 00:01 4711 /memfd:hotpath (deleted)", 0, 0, false},
		{"x-y rw-s 00000000 00:01 4711 /memfd:hotpath (deleted)", 0, 0, false},
		{"", 0, 0, false},
	} {
		start, end, ok := parseMapping([]byte(c.line))
		require.Equal(t, c.ok, ok, c.line)
		if ok {
			assert.Equal(t, [2]uint64{c.start, c.end}, [2]uint64{start, end}, c.line)
		}
	}
}

// record is a notice as the program writes it.
func record(kind, pid, uid uint32, address, offset uint64, page []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, kind)
	b = binary.NativeEndian.AppendUint32(b, pid)
	b = binary.NativeEndian.AppendUint32(b, uid)
	b = binary.NativeEndian.AppendUint32(b, 0)
	b = binary.NativeEndian.AppendUint64(b, address)
	b = binary.NativeEndian.AppendUint64(b, offset)
	return append(b, page...)
}

func TestParseNotice(t *testing.T) {
	page := make([]byte, pageSize)
	page[0] = 1
	n, err := parseNotice(record(noticePage, 2, 3, 4, 5, page))
	require.NoError(t, err)
	assert.Equal(t, notice{noticePage, 2, 3, 0, 4, 5, page}, n)
	n, err = parseNotice(record(noticeEnded, 2, 3, 0, 1, nil))
	require.NoError(t, err)
	assert.Equal(t, notice{noticeEnded, 2, 3, 0, 0, 1, nil}, n)
	for _, b := range [][]byte{nil, record(noticeEnded, 1, 1, 1, 1, nil)[:31], record(noticePage, 1, 1, 1, 1, page[1:])} {
		_, err := parseNotice(b)
		require.Error(t, err)
	}
}

func FuzzNotice(f *testing.F) {
	f.Add(record(noticeAnnounced, 1, 2, 3, 4, nil))
	f.Add(record(noticePage, 1, 2, 3, 4, make([]byte, pageSize)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := parseNotice(b); err == nil && n.kind == noticePage && len(n.page) != pageSize {
			t.Fatal(len(n.page))
		}
	})
}

func FuzzMapping(f *testing.F) {
	f.Add([]byte("7f0123456000-7f0123457000 rw-s 00000000 00:01 4711 /memfd:hotpath (deleted)"))
	f.Fuzz(func(_ *testing.T, b []byte) { parseMapping(b) })
}
