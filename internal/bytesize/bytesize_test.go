package bytesize

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "4096": 4096, "4096B": 4096, "64KiB": 64 << 10, "64MiB": 64 << 20, "2 GiB": 2 << 30,
	} {
		var s Size
		require.NoError(t, s.UnmarshalText([]byte(text)))
		require.Equal(t, want, s, text)
	}
	for _, text := range []string{"", "MiB", "1.5MiB", "64MB", "64 MiBB", "-1", "9223372036854775808", "8589934592GiB"} {
		var s Size
		require.Error(t, s.UnmarshalText([]byte(text)), text)
	}
}
