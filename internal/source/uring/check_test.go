package uring

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTrialIsBesideTheSocket(t *testing.T) {
	dir := t.TempDir()
	cfg := DefaultConfig()
	cfg.Socket = filepath.Join(dir, "a", "b", "socket")
	place, err := Try(cfg, "trial")
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(dir, "a", "b", "trial"), place.Socket)
	assert.Equal(t, []string{place.Socket, place.Socket + ".lock", filepath.Join(dir, "a", "b"), filepath.Join(dir, "a")}, place.Made)
	assert.NoDirExists(t, filepath.Join(dir, "a"), "a source makes it")
	assert.NoError(t, place.InUse)

	cfg.Socket = "@hotpath-trial-test"
	place, err = Try(cfg, "trial")
	require.NoError(t, err)
	assert.Equal(t, "@trial", place.Socket)
	assert.Empty(t, place.Made)
	assert.NoError(t, place.InUse)
}

func TestTrialTellsOfTheCollectorThatListens(t *testing.T) {
	for name, socket := range map[string]string{"path": "", "abstract": "@hotpath-trial-test"} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			if socket != "" {
				f.cfg.Socket = socket
			}
			f.begin()
			place, err := Try(f.cfg, "trial")
			require.NoError(t, err)
			other := newFixture(t)
			other.cfg.Socket = f.cfg.Socket
			assert.EqualError(t, place.InUse, other.Start(context.Background(), nil).Error(), "as another collector is told")
		})
	}
}

func TestTrialSaysWhatStartSays(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, os.WriteFile(f.cfg.Socket, nil, 0o600))
	_, err := Try(f.cfg, "trial")
	assert.EqualError(t, err, f.Start(context.Background(), nil).Error())
	assert.FileExists(t, f.cfg.Socket)
}
