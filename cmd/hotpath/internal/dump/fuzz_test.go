package dump

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"unicode"

	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

// against are the reasons that are about single series: the rest of a segment is read.
var against = map[segment.Reason]bool{
	segment.ErrName: true, segment.ErrUnit: true, segment.ErrDescription: true, segment.ErrUTF8: true, segment.ErrAttributes: true,
	segment.ErrUnsorted: true, segment.ErrConflict: true, segment.ErrDuplicate: true, segment.ErrLimit: true,
}

// FuzzDump overwrites words of a good segment's header and catalogue, cuts it off, and checks that dump comes to the same as the receiver.
func FuzzDump(f *testing.F) {
	change := func(changes ...uint64) (b []byte) {
		for i := 0; i < len(changes); i += 2 {
			b = binary.NativeEndian.AppendUint16(b, uint16(changes[i]))
			b = binary.NativeEndian.AppendUint64(b, changes[i+1])
		}
		return b
	}
	f.Add(change(), uint32(1<<31))
	f.Add(change(72, 1<<20, 192, 1<<33), uint32(1<<31))
	f.Add(change(uint64(recordAt(2)), 1<<16, 200, 7), uint32(1<<31))
	f.Add(change(512, 1), uint32(600))
	dir := tmpfs(f)
	base := good().Bytes()
	f.Fuzz(func(t *testing.T, changes []byte, size uint32) {
		b := append([]byte(nil), base...)
		for ; len(changes) >= 10; changes = changes[10:] {
			at := int(binary.NativeEndian.Uint16(changes))
			if at >= 512 {
				at = segmenttest.CatalogueOffset + at%1024
			}
			copy(b[at:], changes[2:10])
		}
		path := filepath.Join(dir, "segment")
		if err := os.WriteFile(path, b[:min(int(size), len(b))], 0o600); err != nil {
			t.Fatal(err)
		}
		out, status := dumpJSON(t, path)
		if (status == 0) != (len(out.Inconsistencies) == 0) {
			t.Fatalf("status %d with %v", status, out.Inconsistencies)
		}
		fatal := false
		for _, fault := range out.Inconsistencies {
			fatal = fatal || !against[segment.Reason(fault.Reason)]
		}
		if fatal == out.Collector.Reads {
			t.Fatalf("the receiver: %+v, though %+v", out.Collector, out.Inconsistencies)
		}
		text, _ := dump("--stripes", path)
		for _, r := range text {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%q", r)
			}
		}
	})
}
