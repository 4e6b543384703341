package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

func TestShowMakesATableOfWhatTheDebugExporterPrints(t *testing.T) {
	const printed = `Metrics	{"resource metrics": 1}
ResourceMetrics #0 process.executable.name=kv-c process.pid=42 service.name=kv-c
ScopeMetrics #0 github.com/hotpath-metrics/hotpath@0.1.0
kv.requests{operation=get,result=hit} 10
kv.queue.length{} 0.5
kv.idle{} count=0 sum=0
kv.duration{} count=4 sum=1 le0.001=1 le0.002=2 le0.004=1

ResourceMetrics #0 process.pid=42 service.name=kv-c
kv.requests{operation=get,result=hit} 25
kv.duration{} count=0 sum=0
kv.queue.length{} 
`
	const want = `
  kv-c, process 42
  kv.requests{operation=get,result=hit} 10
  kv.queue.length 0.5
  kv.idle no values yet
  kv.duration 4 values, half of them below 2ms, 99 % below 4ms

  kv-c, process 42
  kv.requests{operation=get,result=hit} 25 (+15)
  kv.duration ended
  kv.queue.length ended
`
	var shown bytes.Buffer
	if err := show(&shown, strings.NewReader(printed)); err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(`\d\d:\d\d:\d\d`).ReplaceAllString(shown.String(), "")
	got = regexp.MustCompile(`(\S) +`).ReplaceAllString(got, "$1 ")
	if got != want {
		t.Errorf("shown is\n%s\nnot\n%s", got, want)
	}
}
