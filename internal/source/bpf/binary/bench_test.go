package binary

import (
	"bytes"
	"debug/elf"
	"fmt"
	"testing"
)

// BenchmarkFunctionsOf100000Symbols looks for one in a library as large as the largest.
func BenchmarkFunctionsOf100000Symbols(b *testing.B) {
	m := newImage()
	for i := range 100000 {
		name := fmt.Sprintf("_ZN7company7product9subsystem8Class%03d11function%03dEiPKcRKSt6vectorIiSaIiEE\x00", i/1000, i%1000)
		m.symbols = append(m.symbols, elf.Sym64{Name: uint32(len(m.names)), Info: byte(elf.STT_FUNC), Shndx: 1, Value: imageText, Size: 5})
		m.names = append(m.names, name...)
	}
	m.place()
	f, err := Open(bytes.NewReader(m.bytes()))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct{ title, name string }{
		{"exact", "work"},
		{"declared", "company::product::subsystem::Class077::function123"},
		{"missing", "company::product::subsystem::Class077::functoin123"},
	} {
		b.Run(c.title, func(b *testing.B) {
			for b.Loop() {
				if s, err := f.Functions(c.name, 0); (err == nil) != (c.title != "missing") {
					b.Fatal(s, err)
				}
			}
			b.ReportAllocs()
		})
	}
}
