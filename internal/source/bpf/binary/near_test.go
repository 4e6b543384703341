package binary

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestNamesThatDisturbTerminalsAreNotOffered(t *testing.T) {
	m := newImage()
	copy(m.names[1:], "w\x1brk")
	_, err := m.open(t).Functions("work", 0)
	wantError(t, err, "no such function")
	if strings.Contains(err.Error(), "\x1b") {
		t.Errorf("%q", err)
	}
}

func TestEditDistanceIsExactUpToItsLimit(t *testing.T) {
	plain := func(a, b string) int {
		row := make([]int, len(b)+1)
		for j := range row {
			row[j] = j
		}
		for i := range len(a) {
			diagonal := row[0]
			row[0] = i + 1
			for j := range len(b) {
				cost := diagonal
				if a[i] != b[j] {
					cost = 1 + min(diagonal, row[j], row[j+1])
				}
				diagonal, row[j+1] = row[j+1], cost
			}
		}
		return row[len(b)]
	}
	random := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		b := make([]byte, random.IntN(9))
		for i := range b {
			b[i] = byte('a' + random.IntN(3))
		}
		return string(b)
	}
	for range 100000 {
		a, b := word(), word()
		for limit := range 5 {
			if got, want := editDistance(a, b, limit), min(plain(a, b), limit+1); got != want {
				t.Fatalf("%q, %q, %d: %d, want %d", a, b, limit, got, want)
			}
		}
	}
}
