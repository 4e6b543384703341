package c

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// A second reading of the format, apart from the Collector's.

type measurement struct {
	number     uint64
	slot       uint32
	kind       uint8
	value      uint64
	time       uint64
	attributes []string // key=value
}

// rings are the measurement rings of a segment.
type rings struct {
	file  io.ReaderAt
	pid   uint64
	used  int
	first int64
	size  int64
	words uint64
}

func word(t testing.TB, f io.ReaderAt, at int64) uint64 {
	t.Helper()
	var b [8]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	return binary.NativeEndian.Uint64(b[:])
}

func openRings(t testing.TB, path string) rings {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	r := rings{
		file: f, pid: word(t, f, segment.OffPID), used: int(word(t, f, segment.OffRingsUsed)),
		first: int64(word(t, f, segment.OffRingsOffset)), size: int64(word(t, f, segment.OffRingSize)), words: word(t, f, segment.OffRingWords),
	}
	count := word(t, f, segment.OffRingCount)
	if r.first%4096 != 0 || r.size%4096 != 0 || r.words < segment.MinRingWords || r.words&(r.words-1) != 0 ||
		r.size < segment.RingFirst+8*int64(r.words) || uint64(r.used) > count || count > segment.MaxRings ||
		r.first+int64(count)*r.size > int64(word(t, f, segment.OffFileSize)) {
		t.Fatalf("the header says %+v of %d rings", r, count)
	}
	return r
}

// ringsIn opens the rings of all segments in a directory, by the processes' ids.
func ringsIn(t testing.TB, dir string) map[uint64]rings {
	t.Helper()
	paths, err := filepath.Glob(dir + "/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	all := map[uint64]rings{}
	for _, path := range paths {
		r := openRings(t, path)
		all[r.pid] = r
	}
	return all
}

// read returns what ring i has, the oldest first. The ring may be written to meanwhile.
func (r rings) read(t testing.TB, i int) []measurement {
	t.Helper()
	base := r.first + int64(i)*r.size
	head := word(t, r.file, base+segment.RingHead)
	all := make([]byte, 8*r.words)
	if _, err := r.file.ReadAt(all, base+segment.RingFirst); err != nil {
		t.Fatal(err)
	}
	after := word(t, r.file, base+segment.RingHead)
	var oldest uint64
	if after+segment.MaxMeasurement > r.words {
		oldest = after + segment.MaxMeasurement - r.words
	}
	get := func(n uint64) []byte { return all[8*(n%r.words):][:8] }
	var got []measurement // the newest first
	for at := head; at > oldest; {
		trailer := binary.NativeEndian.Uint64(get(at - 1))
		n, number := trailer&(1<<segment.TrailerWordsBits-1), trailer>>segment.TrailerWordsBits
		if n < 3 || n > segment.MaxMeasurement || n > at {
			t.Fatalf("ring %d: before %d is trailer %#x", i, at, trailer)
		}
		at -= n
		if at < oldest {
			break
		}
		var b []byte
		for k := range n - 1 {
			b = append(b, get(at+k)...)
		}
		m := parseMeasurement(t, b)
		m.number = number
		if len(got) > 0 && got[len(got)-1].number != number+1 {
			t.Fatalf("ring %d: after number %d comes %d", i, number, got[len(got)-1].number)
		}
		if at == 0 && number != 1 {
			t.Fatalf("ring %d begins with number %d", i, number)
		}
		got = append(got, m)
	}
	slices.Reverse(got)
	return got
}

func parseMeasurement(t testing.TB, b []byte) measurement {
	t.Helper()
	m := measurement{slot: binary.NativeEndian.Uint32(b), kind: b[segment.MeasurementKind], value: binary.NativeEndian.Uint64(b[segment.MeasurementValue:])}
	n := binary.NativeEndian.Uint16(b[segment.MeasurementAttributes:])
	if b[5] != 0 {
		t.Fatalf("byte 5 of %x", b)
	}
	rest := b[segment.MeasurementHeaderSize:]
	if m.kind == segment.KindGauge {
		m.time, rest = binary.NativeEndian.Uint64(rest), rest[8:]
	}
	for range n {
		keyLen, size := int(binary.NativeEndian.Uint16(rest)), int(binary.NativeEndian.Uint32(rest[segment.AttributeValueLen:]))
		end := segment.AttributeHeaderSize + keyLen + size
		padded := (end + 7) &^ 7
		if keyLen == 0 || rest[3] != 0 || padded > len(rest) || !bytes.Equal(rest[end:padded], make([]byte, padded-end)) {
			t.Fatalf("attribute at %d of %x", len(b)-len(rest), b)
		}
		key, value := string(rest[segment.AttributeHeaderSize:][:keyLen]), rest[segment.AttributeHeaderSize+keyLen:][:size]
		var text string
		switch typ := rest[segment.AttributeType]; {
		case typ == segment.AttributeString:
			text = string(value)
		case size != 8:
			t.Fatalf("%s of type %d has %d bytes", key, typ, size)
		case typ == segment.AttributeInt64:
			text = fmt.Sprint(int64(binary.NativeEndian.Uint64(value)))
		case typ == segment.AttributeDouble:
			text = fmt.Sprint(math.Float64frombits(binary.NativeEndian.Uint64(value)))
		case typ == segment.AttributeBool:
			text = fmt.Sprint(binary.NativeEndian.Uint64(value) == 1)
		default:
			t.Fatalf("%s has type %d", key, typ)
		}
		m.attributes = append(m.attributes, key+"="+text)
		rest = rest[padded:]
	}
	if len(rest) != 0 {
		t.Fatalf("%d bytes follow the attributes of %x", len(rest), b)
	}
	return m
}

// whole reads all rings, checks that each measurement in them is of one call of ring.c, and returns how many were ever recorded.
func (r rings) whole(t testing.TB) uint64 {
	t.Helper()
	const letters = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
	var total uint64
	for i := range r.used {
		got := r.read(t, i)
		if len(got) == 0 {
			continue
		}
		last := map[uint64]uint64{}
		for _, m := range got {
			if len(m.attributes) != 4 {
				t.Fatalf("ring %d has %+v", i, m)
			}
			number := func(attribute int, key string) uint64 {
				text, _ := strings.CutPrefix(m.attributes[attribute], key+"=")
				n, err := strconv.ParseUint(text, 10, 64)
				if err != nil {
					t.Fatalf("ring %d has %+v: %v", i, m, err)
				}
				return n
			}
			writer, n := number(0, "writer"), number(1, "i")
			if m.kind != segment.KindCounter || m.value != n || m.attributes[2] != "text="+letters[uint64(len(letters))-n%70:] ||
				number(3, "sum") != n*31+writer*7+n%70 {
				t.Fatalf("ring %d has %+v", i, m)
			}
			if before, ok := last[writer]; ok && n <= before && n != 0 {
				t.Fatalf("ring %d: writer %d has %d after %d", i, writer, n, before)
			}
			last[writer] = n
		}
		total += got[len(got)-1].number
	}
	return total
}
