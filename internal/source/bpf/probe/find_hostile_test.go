package probe

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// slow makes a sparse file with more symbols than can be read in a moment.
func slow(t *testing.T, path string) {
	t.Helper()
	const tables, symbols = 4096, 240 << 20
	h := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Ehsize: 64, Phentsize: 56, Shentsize: 64, Shoff: 64, Shnum: 3, Shstrndx: 2,
	}
	sections := []elf.Section64{
		{},
		{Type: uint32(elf.SHT_SYMTAB), Off: tables, Size: symbols, Link: 2, Entsize: elf.Sym64Size},
		{Type: uint32(elf.SHT_STRTAB), Off: tables - 64, Size: 64},
	}
	var b bytes.Buffer
	require.NoError(t, binary.Write(&b, binary.LittleEndian, h))
	require.NoError(t, binary.Write(&b, binary.LittleEndian, sections))
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o755))
	require.NoError(t, os.Truncate(path, tables+symbols))
}

// runs maps a file as one that it runs.
func runs(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	code, err := unix.Mmap(int(f.Fd()), 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Munmap(code) })
}

func TestHostFilesThatTakeLongAreLookedAtInSeveralLooks(t *testing.T) {
	const files = 2
	for _, by := range []string{"name", "pattern"} {
		t.Run(by, func(t *testing.T) {
			dir := t.TempDir()
			binary := "libwork.so"
			if by == "pattern" {
				binary = dir + "/*/libwork.so"
			}
			f := start(t, named(binary))
			require.NoError(t, os.Mkdir(dir+"/good", 0o755))
			copied(t, "libwork.so", dir+"/good/libwork.so")
			runs(t, dir+"/good/libwork.so")
			f.lookAgain()
			f.collect()
			p := f.probes[0]
			require.Len(t, p.files, 1)
			for i := range files {
				path := fmt.Sprintf("%s/%02d/libwork.so", dir, i)
				slow(t, path)
				runs(t, path)
			}
			looks := 0
			for last := -1; len(p.refused) > last; looks++ {
				last = len(p.refused)
				f.lookAgain()
				f.collect()
				for _, a := range p.files {
					assert.Zero(t, a.mapped, "it is still there")
				}
			}
			t.Log(looks, "looks")
			assert.Len(t, p.refused, files)
			assert.Len(t, p.files, 1)
			assert.Greater(t, looks, 1, "the last one has found nothing new")
		})
	}
}

func TestHostFilesThatAreRefusedAreRememberedWithinALimitAndLeaveTheirRoom(t *testing.T) {
	dir := t.TempDir()
	f := start(t, at(dir+"/*"))
	refuse := func(n int, name string) {
		for i := range n {
			require.NoError(t, os.WriteFile(fmt.Sprint(dir, "/", name, i), []byte(name), 0o644))
		}
	}
	looks := func() (mentioned int) {
		before := f.logs.FilterMessageSnippet("Cannot attach").Len()
		for whole := false; !whole; whole = f.probes[0].next == "" {
			f.lookAgain()
			f.collect()
		}
		return f.logs.FilterMessageSnippet("Cannot attach").Len() - before
	}
	refuse(maxRefused+500, "many")
	assert.Equal(t, maxRefused+1, looks())
	for range 3 {
		assert.Zero(t, looks())
	}
	many, err := filepath.Glob(dir + "/many*")
	require.NoError(t, err)
	for _, path := range many {
		require.NoError(t, os.Remove(path))
	}
	assert.Zero(t, looks())
	assert.Empty(t, f.probes[0].refused)
	refuse(3, "few")
	assert.Equal(t, 3, looks())
}
