package bench

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

func measured() *Result {
	r := figures(map[string]float64{
		"shm": 0.6, "bpf": 0.61, probeName: 1000, "user_events": -1, "io_uring": 30, "write_nowhere": 180, "opentelemetry": 107, "statsd_udp": 2400,
	})
	r.Machine.CPU, r.Machine.CPUs, r.Machine.Kernel, r.Interval, r.Rounds = "Some CPU", 2, "6.18", 10, 100
	cpu, calls := 5.3, 1.0
	r.row("shm").CollectorCPU = &cpu
	r.row("statsd_udp").Clients[inC].Syscalls = &calls
	r.row("statsd_udp").Delivery = &Delivery{Sent: 100, Arrived: 60, Speed: 200_000, LossFree: 90_000}
	r.row("io_uring").Delivery.Heals = true
	r.row("shm").Latencies = []Latency{{Interval: 0.01, Median: 4.8}, {Interval: 10, Median: 5100}}
	r.row("bpf").fail("memory of series", errors.New("it has none"))
	r.Choice = choose(r)
	r.describe(false)
	return r
}

// cellsOf finds a row of a table.
func cellsOf(t *testing.T, of table, title string) []string {
	t.Helper()
	for _, cells := range of.rows {
		if cells[0] == title {
			return cells
		}
	}
	t.Fatalf("there is no row %s", title)
	return nil
}

func TestTablesSayWhatWasMeasured(t *testing.T) {
	r := measured()
	if got := strings.Join(cellsOf(t, costs(r), "shm"), "|"); got != "shm|0.60 (1.20)|-|-|-|-|-" {
		t.Error(got)
	}
	if got := strings.Join(cellsOf(t, costs(r), "user_events"), "|"); got != "user_events|not there|-|-|-|-|-" {
		t.Error(got)
	}
	if got := strings.Join(cellsOf(t, costs(r), "statsd UDP"), "|"); got != "statsd UDP|2400 (4800)|-|-|-|1.00|-" {
		t.Error(got)
	}
	if got := strings.Join(cellsOf(t, rest(r), "shm"), "|"); got != "shm|5.30|any (1.00 M)|4.80|5100|-|-|3/3+2|any" {
		t.Error(got)
	}
	if got := cellsOf(t, rest(r), "io_uring")[2]; got != "> 1.00 M" {
		t.Error(got)
	}
	if got := cellsOf(t, rest(r), "statsd UDP")[2]; got != "90.0 k" {
		t.Error(got)
	}
	text := strings.Join(strings.Fields(terminal(r)), " ")
	for _, want := range []string{"user_events is not there: it is not", "bpf segment was not measured in full: memory of series: it has none", "Begin with shm", "typically 2.00 times the median (so the machine was busy"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
}

func TestTableFitsATerminal(t *testing.T) {
	r := measured()
	for _, row := range r.Rows { // the widest there are
		for _, client := range bothClients {
			row.Clients[client] = &Client{One: &Cost{Median: 12095, P99: 21313}, All: &Cost{Median: 12095, P99: 21313}}
		}
		cpu, bytes := 14997.0, 12345.0
		row.CollectorCPU, row.ProcessBytes, row.CollectorBytes = &cpu, &bytes, &bytes
	}
	for line := range strings.Lines(terminal(r)) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > textWidth {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestEmulatedMachineShowsRatiosOnly(t *testing.T) {
	r := measured()
	r.Machine.Emulated = true
	r.merge(nil)
	r.Choice = choose(r)
	if got := strings.Join(cellsOf(t, costs(r), "shm"), "|"); got != "shm|0.01x|-|-|-|-|-" {
		t.Error(got)
	}
	text := terminal(r)
	if got := strings.Join(cellsOf(t, rest(r), "shm"), "|"); got != "shm|-|any (1.00 M)|-|-|-|-|3/3+2|any" || !strings.Contains(text, "emulated") {
		t.Error(got)
	}
	if strings.Contains(strings.Join(r.Choice, " "), " ns ") {
		t.Errorf("%q", r.Choice)
	}
}

func TestRowsOfAnEmulatedMachineAreTakenWhereThisOneHasNone(t *testing.T) {
	there := figures(map[string]float64{"shm": 50, "user_events": 190})
	there.Machine.Emulated, there.Machine.CPU = true, "QEMU"
	text, err := toJSON(there)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "emulated.json")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := readResult(name)
	if err != nil {
		t.Fatal(err)
	}
	r := measured()
	r.merge(other)
	if got := strings.Join(cellsOf(t, costs(r), "user_events*"), "|"); got != "user_events*|1.90x|-|-|-|-|-" {
		t.Error(got)
	}
	if got := cellsOf(t, costs(r), "shm")[1]; got != "0.60 (1.20)" {
		t.Errorf("what there is here is %s", got)
	}
	if chosen := strings.Join(choose(r), " "); !strings.Contains(chosen, "user_events is not there") {
		t.Errorf("%q", chosen)
	}
	picture, err := svg(r)
	if err != nil || !strings.Contains(picture, "1.90 times a writev to /dev/null (emulated)") {
		t.Errorf("%v\n%s", err, picture)
	}
	if !strings.Contains(strings.Join(r.Notes, " "), "* ") {
		t.Errorf("no note says what the star means: %q", r.Notes)
	}
	notEmulated := figures(map[string]float64{"user_events": 190})
	r = measured()
	r.merge(notEmulated)
	if r.row("user_events").Emulated {
		t.Error("a row was taken of a machine that is not emulated")
	}
}

func TestChartIsWellFormedAndHasEveryRow(t *testing.T) {
	r := measured()
	picture, err := svg(r)
	if err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(strings.NewReader(picture)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range r.Rows {
		if !strings.Contains(picture, ">"+row.Title+"<") {
			t.Errorf("%s is missing", row.Title)
		}
	}
	if strings.Contains(picture, "NaN") || strings.Contains(picture, "Inf") {
		t.Error(picture)
	}
	if _, err := svg(&Result{}); err == nil {
		t.Error("a chart of nothing was drawn")
	}
}

func TestOutputsGoWhereTheyAreWanted(t *testing.T) {
	r := measured()
	dir := t.TempDir()
	var standard strings.Builder
	o := outputs{json: filepath.Join(dir, "a.json"), markdown: standardOutput, svg: filepath.Join(dir, "a.svg")}
	if err := errors.Join(o.check(), o.write(&standard, r)); err != nil {
		t.Fatal(err)
	}
	if got := standard.String(); !strings.Contains(got, "| shm | 0.60 (1.20) |") || strings.Contains(got, "\n  ") {
		t.Error(got)
	}
	text, err := os.ReadFile(o.json)
	var back Result
	if err := errors.Join(err, json.Unmarshal(text, &back)); err != nil || back.row("shm").Clients[inC].One.Median != 0.6 {
		t.Errorf("%v: %s", err, text)
	}
	if err := (&outputs{json: "-", svg: "-"}).check(); err == nil {
		t.Error("two outputs share the standard output")
	}
	if err := (&outputs{json: "/nowhere/a.json"}).check(); err == nil {
		t.Error("a folder that does not exist was taken")
	}
}
