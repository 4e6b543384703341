package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// show turns what the debug exporter prints into a table for each process.
func show(to io.Writer, from io.Reader) error {
	before := map[string]float64{} // totals of the last table, by process and series
	process := ""
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "ResourceMetrics "):
			service, pid := field(line, "service.name="), field(line, "process.pid=")
			process = service + pid
			fmt.Fprintf(to, "\n%s  %s, process %s\n", time.Now().Format(time.TimeOnly), service, pid)
		case strings.HasPrefix(line, "ScopeMetrics "), strings.HasPrefix(line, "Metrics\t"), line == "":
		default:
			series, values, _ := strings.Cut(line, " ")
			series = strings.TrimSuffix(series, "{}")
			point(to, series, values, before, process+series)
		}
	}
	return lines.Err()
}

func point(to io.Writer, series, values string, before map[string]float64, key string) {
	if values == "" {
		fmt.Fprintf(to, "  %-42s ended\n", series)
		return
	}
	if count, ok := strings.CutPrefix(values, "count="); ok {
		buckets := strings.Fields(count)
		n, _ := strconv.ParseFloat(buckets[0], 64)
		if n == 0 {
			state := "no values yet"
			if before[key] > 0 {
				state = "ended"
			}
			fmt.Fprintf(to, "  %-42s %s\n", series, state)
			return
		}
		fmt.Fprintf(to, "  %-42s %10.0f values%s, half of them below %s, 99 %% below %s\n", series, n,
			change(before, key, n), quantile(buckets[1:], n, 0.5), quantile(buckets[1:], n, 0.99))
		return
	}
	v, err := strconv.ParseFloat(values, 64)
	if err != nil {
		fmt.Fprintf(to, "  %s %s\n", series, values)
		return
	}
	fmt.Fprintf(to, "  %-42s %10s%s\n", series, figure(v), change(before, key, v))
}

func change(before map[string]float64, key string, v float64) string {
	old, known := before[key]
	before[key] = v
	if !known || v == old {
		return ""
	}
	sign := ""
	if v > old {
		sign = "+"
	}
	return " (" + sign + figure(v-old) + ")"
}

// figure has all digits of a whole number.
func figure(v float64) string {
	if v == math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return fmt.Sprintf("%.6g", v)
}

// quantile is the upper bound of the bucket in which it lies; buckets read `leBOUND=COUNT`.
func quantile(buckets []string, count, q float64) string {
	below := 0.0
	for _, b := range buckets {
		bound, n, isBucket := strings.Cut(strings.TrimPrefix(b, "le"), "=")
		if !strings.HasPrefix(b, "le") || !isBucket {
			continue
		}
		in, _ := strconv.ParseFloat(n, 64)
		if below += in; below >= q*count {
			seconds, _ := strconv.ParseFloat(bound, 64)
			return time.Duration(seconds * float64(time.Second)).Round(time.Microsecond / 10).String()
		}
	}
	return "?"
}

func field(line, key string) string {
	_, rest, _ := strings.Cut(line, key)
	value, _, _ := strings.Cut(rest, " ")
	return value
}
