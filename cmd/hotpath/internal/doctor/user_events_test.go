package doctor

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/tracefs"
)

// These are for a kernel with user_events.

func TestUserEventsVerdictIsReality(t *testing.T) {
	needRoot(t)
	for name, c := range map[string]struct {
		confinement    []string
		source, client bool
		fix            string
	}{
		"root":             {nil, true, true, ""},
		"nobody":           {[]string{"uid=65534"}, false, false, "cap_dac_override"},
		"cap_dac_override": {[]string{"caps=1"}, true, true, ""},
		"root without it":  {[]string{"drop=1"}, true, true, ""},
		"no tracefs":       {[]string{"mounts", "umount=/sys/kernel/tracing"}, false, false, "mount -t tracefs"},
	} {
		t.Run(name, func(t *testing.T) {
			o := compare(t, newPlaces(t), c.confinement...)
			v := o.verdict(userEventsName)
			assert.Equal(t, c.source, v.Available, v.Reason)
			assert.Contains(t, v.Fix, c.fix)
			assert.Equal(t, c.client, o.Clients[userEventsName].Available, o.Clients[userEventsName].Reason)
		})
	}
}

func TestUserEventsNothingIsLeftBehind(t *testing.T) {
	needRoot(t)
	before := listed(t)
	v := doctor(t, nil, "--json").Sources[userEventsName]
	require.True(t, v.Available, v.Reason)
	// The kernel deletes events in a work queue.
	assert.Eventually(t, func() bool { return assert.ObjectsAreEqual(before, listed(t)) }, 5*time.Second, 10*time.Millisecond)
}

// listed are the trace instances and events of the machine.
func listed(t *testing.T) [2]string {
	t.Helper()
	instances, err := os.ReadDir("/sys/kernel/tracing/instances")
	require.NoError(t, err)
	all := ""
	for _, i := range instances {
		all += i.Name() + "\n"
	}
	events, err := os.ReadFile("/sys/kernel/tracing/user_events_status")
	require.NoError(t, err)
	return [2]string{all, string(events)}
}

func TestUserEventsInstanceInUseIsSaid(t *testing.T) {
	needRoot(t)
	root, err := tracefs.Find()
	require.NoError(t, err)
	instance, err := root.Open("hotpath", 64)
	require.NoError(t, err)
	defer instance.Close()
	v := doctor(t, nil, "--json").Sources[userEventsName]
	assert.True(t, v.Available, v.Reason)
	assert.Contains(t, v.InUse, "in use by another collector")
}

func TestUserEventsListenersHearNothing(t *testing.T) {
	needRoot(t)
	c := runCollector(t, "hotpath: {user_events: {}}")
	app := c.application(t, userEventsName)
	c.quietDuring(t, app, func() {
		o := doctor(t, nil, "--json")
		assert.NotEmpty(t, o.Sources[userEventsName].InUse)
	})
}
