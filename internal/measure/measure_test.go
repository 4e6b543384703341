package measure

import (
	"math"
	"testing"
	"time"
)

func TestQuantilesAreInterpolated(t *testing.T) {
	s := Series{4, 1, 3, 2}
	for q, want := range map[float64]float64{0: 1, 0.5: 2.5, 1: 4, 0.99: 3.97} {
		if got := s.Quantile(q); math.Abs(got-want) > 1e-9 {
			t.Errorf("quantile %v is %v, not %v", q, got, want)
		}
	}
	if got := (Series{}).Median(); !math.IsNaN(got) {
		t.Errorf("the median of nothing is %v", got)
	}
	if s[0] != 4 {
		t.Error("the rounds were put into another order")
	}
}

func TestSubjectsTakeTurnsAndAreTimedByTheirOwnCost(t *testing.T) {
	var order []string
	spin := func(name string, each time.Duration) Subject {
		return Subject{name, func(n int) {
			order = append(order, name)
			for end := ProcessTime() + time.Duration(n)*each; ProcessTime() < end; {
			}
		}}
	}
	times := TimeInTurn(Plan{Rounds: 5, Sample: time.Millisecond}, []Subject{spin("a", time.Microsecond), spin("b", 4*time.Microsecond)})
	if ratio := times[1].Over(times[0]).Median(); ratio < 3 || ratio > 5 {
		t.Errorf("what takes four times as long took %.2f times as long", ratio)
	}
	rounds := order[len(order)-10:]
	for i, name := range rounds {
		if want := "ab"[i%2 : i%2+1]; name != want {
			t.Fatalf("the order was %v", rounds)
		}
	}
}

func TestMachinesWhoseCPUsAreEmulatedAreToldFromGuests(t *testing.T) {
	const qemu = "model name\t: QEMU Virtual CPU version 2.5+\ncpu family\t: 15\nmodel\t: 107\n"
	for _, c := range []struct {
		cpuinfo, clocks string
		want            bool
	}{
		{qemu, "tsc hpet acpi_pm \n", true},
		{"model name\t: QEMU TCG CPU version 2.5+\n", "hpet acpi_pm\n", true},
		{qemu, "kvm-clock tsc hpet\n", false},
		{"model name\t: AMD EPYC\n", "tsc\n", false},
	} {
		if got := emulated(cpuModel(c.cpuinfo), c.clocks); got != c.want {
			t.Errorf("%q with the clocks %q: emulated is %v", c.cpuinfo, c.clocks, got)
		}
	}
}

func TestFiguresHaveThreeDigits(t *testing.T) {
	for f, want := range map[float64]string{0.284: "0.28", 9.5: "9.50", 12.34: "12.3", 1234.5: "1234"} {
		if got := Figure(f); got != want {
			t.Errorf("%v is written as %s, not %s", f, got, want)
		}
	}
}
