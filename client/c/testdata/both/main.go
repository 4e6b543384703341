// Command both counts the same series from C and from Go in one process.
package main

/*
#cgo CFLAGS: -std=c11 -I${SRCDIR}/../..
#include "hotpath.h"

static void count(unsigned long n)
{
	hotpath_attr attr = HOTPATH_STR("k", "v");

	hotpath_counter_add(hotpath_counter_new("both.counter", "1", "", &attr, 1), n);
	hotpath_gauge_set(hotpath_gauge_new("both.gauge", "", "", NULL, 0), 1);
	hotpath_histogram_record(hotpath_histogram_new("both.histogram", "s", "", NULL, 0), 0.5);
	hotpath_counter_add(hotpath_counter_new("both.c", "1", "", NULL, 0), 1);
}
*/
import "C"

import (
	"fmt"
	"io"
	"os"

	hotpath "github.com/hotpath-metrics/hotpath/client/go"
)

func main() {
	C.count(5)
	counter := hotpath.NewCounter("both.counter", hotpath.WithUnit("1"), hotpath.WithAttributes(hotpath.String("k", "v")))
	counter.Add(37)
	hotpath.NewGauge("both.gauge").Set(2)
	hotpath.NewHistogram("both.histogram", hotpath.WithUnit("s")).Record(2)
	fmt.Println("ready", hotpath.Status())
	_, _ = io.Copy(io.Discard, os.Stdin)
}
