// Package bytesize has numbers of bytes as configurations state them.
package bytesize

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes: a bare number, or one with B, KiB, MiB or GiB.
type Size int64

// UnmarshalText takes what Size describes.
func (s *Size) UnmarshalText(text []byte) error {
	digits, shift := string(text), 0
	for _, unit := range []struct {
		name  string
		shift int
	}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"B", 0}} {
		if rest, ok := strings.CutSuffix(digits, unit.name); ok {
			digits, shift = strings.TrimSuffix(rest, " "), unit.shift
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>shift {
		return fmt.Errorf("must be a number of bytes, or one with KiB, MiB or GiB, is %q", text)
	}
	*s = Size(n << shift)
	return nil
}
