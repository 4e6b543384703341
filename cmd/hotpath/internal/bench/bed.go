package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hotpath-metrics/hotpath/internal/measure/worker"
)

// bed is a mechanism at work: its collector, and a worker in each language.
type bed struct {
	*mechanism
	place     *place
	collector *worker.Process // nil where there is none
	workers   map[string]*worker.Process
	failed    map[string]error // clients that cannot be measured
}

// patience is how long totals may take to arrive beyond the interval of collection.
const patience = 3 * time.Second

var errNoSymbols = errors.New("this program was built without symbols, by which probes find functions")

// open starts collector and workers. An error says that the mechanism is not there; what is wrong with one client is in failed.
func open(ctx context.Context, p *place, m *mechanism, interval time.Duration, clients []string) (*bed, error) {
	if m.name == probeName && !p.symbols && p.worker == "" {
		return nil, errNoSymbols
	}
	b := &bed{mechanism: m, place: p, workers: map[string]*worker.Process{}, failed: map[string]error{}}
	port, err := b.startCollector(ctx, interval)
	if err != nil {
		return nil, err
	}
	environment := append(p.environment(m), udpVariable+"="+port)
	for _, client := range clients {
		if !slices.Contains(m.clients, client) {
			continue
		}
		if m.name == probeName && client == inGo && !p.symbols {
			b.failed[client] = errNoSymbols
			continue
		}
		path, arguments := p.program, []string{"bench", "worker", b.prefix(client), m.series}
		if client == inC {
			path, arguments = p.worker, []string{b.prefix(client)}
		}
		w, err := worker.Start(ctx, path, arguments, environment...)
		if err == nil {
			b.workers[client] = w
			_, err = w.Do(b.subject, 1, 1)
		}
		if err != nil {
			b.failed[client] = err
		}
	}
	for _, client := range b.some() {
		if err := b.begin(client, interval); err != nil {
			b.failed[client] = err
		}
	}
	if len(b.some()) == 0 {
		failed := b.failed[inC]
		if failed == nil {
			failed = b.failed[inGo]
		}
		return nil, errors.Join(failed, b.close())
	}
	return b, nil
}

func (b *bed) prefix(client string) string {
	return strings.TrimSuffix(b.place.seriesName(b.mechanism, client), ".adds")
}

func (b *bed) startCollector(ctx context.Context, interval time.Duration) (port string, err error) {
	var settings string
	switch b.mechanism.collector {
	case "":
		return "", nil
	case statsdKind:
		if b.name == "statsd_unix" {
			settings = b.place.socket(b.mechanism)
		}
	default:
		text, err := json.Marshal(b.place.settings(b.mechanism, interval))
		if err != nil {
			return "", fmt.Errorf("write settings: %w", err)
		}
		settings = string(text)
	}
	b.collector, err = worker.Start(ctx, b.place.program, []string{"bench", "collector", b.mechanism.collector, settings})
	if err != nil {
		return "", err
	}
	if words := b.collector.Subjects; len(words) > 0 {
		port = words[0]
	}
	return port, nil
}

// begin has a first update arrive: from then on, every one counts.
func (b *bed) begin(client string, interval time.Duration) error {
	w := b.workers[client]
	if b.collector == nil {
		return nil
	}
	deadline := time.Now().Add(interval + patience)
	for {
		arrived, err := b.await(client, 1, min(interval, time.Second)+100*time.Millisecond)
		if err != nil || arrived > 0 {
			return err
		}
		if time.Now().After(deadline) {
			status, _ := w.Status() // or else it says nothing
			return fmt.Errorf("no update arrived: %s", status)
		}
		if _, err := w.Do(b.subject, 1, 1); err != nil { // the first one may have come before anybody listened
			return err
		}
	}
}

// total is what the collector has of a client.
func (b *bed) total(client string) (uint64, error) {
	text, err := b.collector.Ask("total", "total %s", b.place.seriesName(b.mechanism, client))
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(text, 10, 64)
}

// await returns the total once it is as large, or what it is when the time is over.
func (b *bed) await(client string, least uint64, limit time.Duration) (uint64, error) {
	const step = 5 * time.Millisecond
	for deadline := time.Now().Add(limit); ; time.Sleep(step) {
		total, err := b.total(client)
		if err != nil || total >= least || time.Now().After(deadline) {
			return total, err
		}
	}
}

// settled is the total when it has not changed for as long.
func (b *bed) settled(client string, quiet time.Duration) (uint64, error) {
	before, err := b.total(client)
	for err == nil {
		time.Sleep(quiet)
		var now uint64
		if now, err = b.total(client); now == before {
			break
		}
		before = now
	}
	return before, err
}

func (b *bed) close() error {
	var errs error
	for _, client := range bothClients {
		if w := b.workers[client]; w != nil {
			errs = errors.Join(errs, w.Close())
		}
	}
	if b.collector != nil {
		errs = errors.Join(errs, b.collector.Close())
	}
	return errs
}

// some are the clients that work, C first.
func (b *bed) some() []string {
	var clients []string
	for _, client := range bothClients {
		if b.workers[client] != nil && b.failed[client] == nil {
			clients = append(clients, client)
		}
	}
	return clients
}
