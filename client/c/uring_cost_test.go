package c

import (
	"strconv"
	"strings"
	"testing"
)

// costs runs the program's measurement: ns by what is measured.
func costs(t *testing.T, entries uint32, env ...string) map[string]float64 {
	t.Helper()
	k := takeAt(t, uringSocket(t), entries)
	defer k.stop()
	p := startUring(t, k.socket, env, uringProgram(t))
	p.do("cost")
	measured := map[string]float64{}
	for _, line := range p.before {
		what, ns, _ := strings.Cut(line, " ")
		v, err := strconv.ParseFloat(ns, 64)
		if err != nil {
			t.Fatal(err)
		}
		measured[what] = v
	}
	p.finish()
	return measured
}

// What updates cost beside a request that does nothing. The bounds are wide enough for a busy machine; the figures are in the log.
func TestUringCost(t *testing.T) {
	const never = "HOTPATH_URING_BATCH=4000000000"
	single := costs(t, 32768, "HOTPATH_URING_BATCH=1")
	batch := costs(t, 32768, "HOTPATH_URING_BATCH=64")
	polled := costs(t, 32768, "HOTPATH_URING_BATCH=64", "HOTPATH_URING_SQPOLL=1")
	silent := costs(t, 32768, never)
	shm := costs(t, 32768, "HOTPATH_TRANSPORT=shm")
	for what, m := range map[string]map[string]float64{"each": single, "batches of 64": batch, "the same, by a kernel thread": polled, "nothing": silent, "shm": shm} {
		t.Logf("telling %s: ns %v", what, m)
	}
	t.Logf("each over a NOP: %.2f; batches of 64 over each: %.2f; message by a kernel thread: %.1f ns over telling nothing",
		(single["counters"]-silent["counters"])/single["nop"], batch["counters"]/single["counters"], polled["counters"]-silent["counters"])
	if over := single["counters"] / single["nop"]; over > 2.5 {
		t.Errorf("an update that is told costs %.2f requests that do nothing", over)
	}
	if over := batch["counters"] / single["counters"]; over > 0.9 {
		t.Errorf("an update in a batch costs %.2f of one by itself", over)
	}
	if silent["counter"] > single["nop"]/4 {
		t.Errorf("an update that is not told costs %.1f ns, a request that does nothing %.1f", silent["counter"], single["nop"])
	}
}
