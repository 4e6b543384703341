package examples

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dashboard is what the tests look at in Grafana's JSON.
type dashboard struct {
	ID         *int
	UID        string
	Title      string
	Templating struct {
		List []struct {
			Name, Type string
			Datasource source
		}
	}
	Panels []panel
}

type panel struct {
	ID          int
	Type, Title string
	Datasource  source
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct {
		Expr       string
		Datasource source
	}
}

type source struct{ UID string }

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("grafana/hotpath.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// A dashboard is imported next to others, where data sources have other ids.
func TestDashboardBelongsToNoGrafanaInParticular(t *testing.T) {
	d := readDashboard(t)
	if d.ID != nil || d.UID != "" || d.Title == "" {
		t.Errorf("the dashboard has the id %v, the uid %q and the title %q", d.ID, d.UID, d.Title)
	}
	if v := d.Templating.List; len(v) == 0 || v[0].Name != "datasource" || v[0].Type != "datasource" {
		t.Fatalf("the first variable is not the data source: %+v", v)
	}
	const chosen = "${datasource}"
	for _, v := range d.Templating.List[1:] {
		if v.Datasource.UID != chosen {
			t.Errorf("variable %s asks the data source %q", v.Name, v.Datasource.UID)
		}
	}
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("the id %d is given twice", p.ID)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				place := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, is := taken[place]; is || place[0] >= 24 {
					t.Fatalf("%q lies on %q, or beyond the edge, at %v", p.Title, other, place)
				}
				taken[place] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || len(p.Targets) == 0 || p.Datasource.UID != chosen {
			t.Errorf("panel %d, %q, has %d expressions for %q", p.ID, p.Title, len(p.Targets), p.Datasource.UID)
		}
		for _, target := range p.Targets {
			if target.Datasource.UID != chosen {
				t.Errorf("panel %q asks the data source %q", p.Title, target.Datasource.UID)
			}
		}
	}
}

// What Grafana would put in place of variables is put there, and the expressions become rules for Prometheus' parser.
func TestDashboardsExpressionsAreParsed(t *testing.T) {
	variables := strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$instance", ".*", "$job", ".*")
	var rules strings.Builder
	fmt.Fprintln(&rules, "groups:\n- name: dashboard\n  rules:")
	n := 0
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			n++
			fmt.Fprintf(&rules, "  - {record: 'panel%d:%d', expr: %q}\n", p.ID, n, variables.Replace(target.Expr))
		}
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	write(t, file, rules.String(), 0o600)
	if said := says(t, tool(t, "promtool", "check", "rules", file)); !strings.Contains(said, fmt.Sprintf("%d rules found", n)) {
		t.Errorf("promtool says: %s", said)
	}
}
