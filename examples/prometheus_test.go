package examples

import (
	"strings"
	"testing"
)

func TestAlertsFireWhenTheyShould(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := tool(t, "promtool", args...)
		cmd.Dir = "prometheus"
		if said := says(t, cmd); !strings.Contains(said, "SUCCESS") {
			t.Errorf("promtool %v says: %s", args, said)
		}
	}
}
