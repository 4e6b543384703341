package ring

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var testLayout = layout{head: 0, tail: 4, mask: 8, cqes: 64, sqFlags: 12}

func TestDrainChecksTheTail(t *testing.T) {
	const entries = 8
	for name, tt := range map[string]struct {
		head, tail uint32
		room, want int
		err        error
	}{
		"empty":                    {5, 5, 8, 0, nil},
		"some":                     {5, 8, 8, 3, nil},
		"full":                     {5, 13, 8, 8, nil},
		"less room than entries":   {5, 13, 3, 3, nil},
		"around the end of 32 bit": {1<<32 - 2, 3, 8, 5, nil},
		"one too many":             {5, 14, 8, 0, ErrForged},
		"behind the head":          {5, 4, 8, 0, ErrForged},
		"far ahead":                {5, 5 + 1<<31, 8, 0, ErrForged},
		"no room":                  {5, 8, 0, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			memory := make([]byte, 64+entries*entrySize)
			for i := range uint32(entries) {
				binary.NativeEndian.PutUint32(memory[64+i*16+8:], i)
			}
			binary.NativeEndian.PutUint32(memory[0:], 77) // never read
			binary.NativeEndian.PutUint32(memory[4:], tt.tail)
			q := queue{memory: memory, entries: entries, head: tt.head}
			batch := make([]Entry, tt.room)
			n, err := q.drain(&testLayout, batch)
			require.ErrorIs(t, err, tt.err)
			require.Equal(t, tt.want, n)
			for i, e := range batch[:n] {
				assert.EqualValues(t, (tt.head+uint32(i))%entries, e.Res)
			}
			assert.Equal(t, tt.head+uint32(n), q.head)
			stored := binary.NativeEndian.Uint32(memory)
			if n > 0 {
				assert.Equal(t, q.head, stored)
			} else {
				assert.EqualValues(t, 77, stored)
			}
		})
	}
}

// FuzzDrain has a memory in which everything changes between the calls: nothing is read or written beyond it.
func FuzzDrain(f *testing.F) {
	f.Add(uint32(0), []byte{1, 0, 0, 0, 2, 0, 0, 0}, byte(3))
	f.Add(uint32(1<<32-1), []byte{255, 255, 255, 255}, byte(3))
	f.Fuzz(func(t *testing.T, head uint32, tails []byte, shift byte) {
		entries := uint32(1) << (shift % 8)
		size := 64 + int(entries)*entrySize
		memory := make([]byte, size+64)
		for i := range memory[size:] {
			memory[size+i] = 0xab
		}
		q := queue{memory: memory[:size:size], entries: entries, head: head}
		batch := make([]Entry, 200)
		for len(tails) >= 4 {
			copy(memory[4:8], tails)
			copy(memory[0:4], tails)
			tails = tails[1:]
			before := q.head
			n, err := q.drain(&testLayout, batch)
			if n < 0 || n > int(entries) || q.head-before != uint32(n) || (err != nil && n != 0) {
				t.Fatal(n, err, before, q.head)
			}
		}
		for _, b := range memory[size:] {
			if b != 0xab {
				t.Fatal("wrote beyond the end")
			}
		}
	})
}
