package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBadConfigurationEndsTheCollector(t *testing.T) {
	file := filepath.Join(directory(t), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := "shm: {directory: " + directory(t) + "}"
	for name, c := range map[string]struct {
		receiver string
		says     []string
	}{
		"an unknown key":        {"{colection_interval: 1s, " + good + "}", []string{"colection_interval"}},
		"an unknown shm key":    {"{shm: {folder: /dev/shm/x}}", []string{"shm", "folder"}},
		"an unknown resource":   {"{resource: {by: service}, " + good + "}", []string{"resource", "by"}},
		"a bad temporality":     {"{temporality: sometimes, " + good + "}", []string{"temporality", "sometimes"}},
		"a bad per":             {"{resource: {per: host}, " + good + "}", []string{"per", "host"}},
		"a negative interval":   {"{collection_interval: -1s, " + good + "}", []string{"collection_interval", "-1s"}},
		"an interval of no use": {"{collection_interval: soon, " + good + "}", []string{"collection_interval", "invalid duration"}},
		"a bad limit":           {"{limits: {series: 0}, " + good + "}", []string{"limits::series"}},
		"a relative directory":  {"{shm: {directory: hotpath}}", []string{"shm", "directory", `"hotpath"`}},
		"a bad mode":            {"{shm: {mode: \"9\"}}", []string{"shm", "mode", `"9"`}},
		"a file as directory":   {"{shm: {directory: " + file + "}}", []string{"directory", file, "not a directory"}},
		"a directory in a file": {"{shm: {directory: " + file + "/below}}", []string{"directory", file + "/below"}},
	} {
		t.Run(name, func(t *testing.T) {
			collector := runCollector(t, settings{receiver: c.receiver, endpoint: "http://127.0.0.1:9/"}.yaml())
			if code := collector.wait(30 * time.Second); code == 0 {
				t.Error("the Collector ended with success")
			}
			text := strings.ReplaceAll(collector.log.String(), `\"`, `"`)
			for _, want := range c.says {
				if !strings.Contains(text, want) {
					t.Errorf("the error does not say %q", want)
				}
			}
			if strings.Contains(text, "goroutine ") {
				t.Error("the Collector crashed")
			}
		})
	}
}
