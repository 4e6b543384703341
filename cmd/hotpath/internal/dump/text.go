package dump

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/screen"
	"github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/segment"
)

// writeText tells everything for people. Whatever is from the file is escaped.
func writeText(w io.Writer, d *Dump, stripes bool) error {
	out := bufio.NewWriter(w)
	d.writeFile(out)
	if segment.HasMagic(d.Head) && len(d.Head) == layout.HeaderSize {
		d.writeHeader(out)
		d.writeRecords(out, stripes)
		d.writeRings(out)
	}
	d.writeFaults(out)
	return out.Flush()
}

// heading begins a part.
func heading(out io.Writer, format string, args ...any) {
	fmt.Fprintf(out, "\n"+format+"\n", args...)
}

func (d *Dump) writeFile(out io.Writer) {
	st := &d.file.stat
	fmt.Fprintf(out, "%s: %s bytes, %s in memory, mode %04o, user %d", screen.Escape(d.file.path), screen.Whole(uint64(st.Size)),
		screen.Whole(uint64(st.Blocks)*512), st.Mode&0o7777, st.Uid)
	if d.file.memo != "" {
		fmt.Fprintf(out, ", a memfd named %s", screen.Escape(d.file.memo))
	}
	fmt.Fprintf(out, "\n")
	switch {
	case d.Writer == nil:
	case !d.Writer.Live:
		fmt.Fprintf(out, "Nobody holds its lock: the process has ended, or this is a copy.\n")
	case d.Writer.PID == 0:
		fmt.Fprintf(out, "Its lock is held: the process lives.\n")
	default:
		fmt.Fprintf(out, "Its lock is held: process %d %s lives, or a child of it.\n", d.Writer.PID, screen.Escape(process.ExecutableName(d.Writer.PID)))
	}
}

func (d *Dump) writeHeader(out io.Writer) {
	heading(out, "Header")
	for i := range fields {
		f := &fields[i]
		fmt.Fprintf(out, "  %4d  %-18s%s\n", f.offset, f.name, f.text(d.Head))
	}
}

func (d *Dump) writeRecords(out io.Writer, stripes bool) {
	for i := range d.Records {
		r := &d.Records[i]
		if r.Kind == layout.KindResource {
			heading(out, "Resource (record of %d bytes at %d)", r.Size, r.Offset)
			for j := range r.Attributes {
				fmt.Fprintf(out, "  %s\n", screen.Attributes(r.Attributes[j:j+1]))
			}
			if len(d.Records) > 1 {
				heading(out, "Series")
			}
			continue
		}
		d.writeSeries(out, r, d.value(i), stripes)
	}
}

// value is that of a record; it has none if values were not read.
func (d *Dump) value(i int) Value {
	if i < len(d.Values) {
		return d.Values[i]
	}
	return Value{}
}

func (d *Dump) writeSeries(out io.Writer, r *Record, v Value, stripes bool) {
	text := screen.Escape(r.Name)
	if len(r.Attributes) > 0 {
		text += " " + screen.Attributes(r.Attributes)
	}
	fmt.Fprintf(out, "  %s\n", text)
	about := []string{kindName(r.Kind)}
	if r.Unit != "" {
		about = append(about, "in "+screen.Escape(r.Unit))
	}
	if r.Flags&layout.FlagOverflow != 0 {
		about = append(about, "overflow")
	}
	about = append(about, fmt.Sprintf("slot %d", r.Slot), fmt.Sprintf("record of %d bytes at %d", r.Size, r.Offset))
	fmt.Fprintf(out, "      %s\n", strings.Join(about, ", "))
	if r.Description != "" {
		fmt.Fprintf(out, "      %s\n", screen.Escape(r.Description))
	}
	switch {
	case r.Words == 0:
		return
	case !r.Claimed:
		fmt.Fprintf(out, "      its words are not its own\n")
		return
	case v.Sum == nil:
		fmt.Fprintf(out, "      no value: no stripe is in use\n")
		return
	}
	fmt.Fprintf(out, "      = %s\n", valueText(r.Kind, r.Unit, v.Sum))
	if r.Kind == layout.KindHistogram {
		writeBuckets(out, v.Sum)
	}
	if stripes {
		for i, words := range v.Stripes {
			fmt.Fprintf(out, "      stripe %d: %s\n", i, valueText(r.Kind, r.Unit, words))
		}
	}
}

func kindName(kind uint8) string {
	switch kind {
	case layout.KindResource:
		return "resource"
	case layout.KindCounter:
		return "counter"
	case layout.KindUpDownCounter:
		return "updowncounter"
	case layout.KindGauge:
		return "gauge"
	case layout.KindHistogram:
		return "histogram"
	}
	return fmt.Sprintf("kind %d", kind)
}

func valueText(kind uint8, unit string, words []uint64) string {
	switch kind {
	case layout.KindUpDownCounter:
		return screen.WholeSigned(int64(words[0]))
	case layout.KindGauge:
		if words[0] == layout.GaugeUnset {
			return "never set"
		}
		return strconv.FormatFloat(math.Float64frombits(words[0]), 'g', -1, 64)
	case layout.KindHistogram:
		h := histogramOf(words)
		text := fmt.Sprintf("%s records, sum %s", screen.Whole(h.count), strconv.FormatFloat(h.sum, 'g', -1, 64))
		if h.count > 0 {
			text += ", mean " + screen.Measure(h.sum/float64(h.count), unit)
		}
		return text + fmt.Sprintf("; %s zero, %s clamped", screen.Whole(h.zero), screen.Whole(h.clamped))
	}
	return screen.Whole(words[0])
}

// writeBuckets writes those that are not empty.
func writeBuckets(out io.Writer, words []uint64) {
	table := tabwriter.NewWriter(out, 0, 0, 1, ' ', tabwriter.AlignRight)
	for i, n := range words[layout.HistogramFirstBucket:] {
		if n > 0 {
			lower, upper := bounds(i)
			fmt.Fprintf(table, "        [%d]\t (%.6g,\t %.6g]\t  %s\t\n", layout.HistogramOffset+i, lower, upper, screen.Whole(n))
		}
	}
	_ = table.Flush() // out keeps the error
}

func (d *Dump) writeFaults(out io.Writer) {
	for _, remark := range d.Remarks {
		heading(out, "Remark: %s", remark)
	}
	if len(d.Faults) == 0 {
		heading(out, "Nothing is wrong with it.")
	} else {
		heading(out, "Inconsistencies: %d", len(d.Faults))
		for i := range d.Faults {
			f := &d.Faults[i]
			fmt.Fprintf(out, "  %s: %s at %d is %s\n      want %s\n", f.Reason, f.Field, f.Offset, screen.Escape(f.Read), screen.Escape(f.Want))
		}
	}
	heading(out, "The Collector would %s.", d.Verdict.Does)
}

func timeText(nanos uint64) string {
	return fmt.Sprintf("%d (%s)", nanos, time.Unix(0, int64(nanos)).UTC().Format(time.RFC3339Nano))
}
