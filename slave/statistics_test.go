package slave

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/offer"
)

// measured asks a slave's handler.
func measured(t *testing.T, s *Slave, query string) []containerInfo {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/containers"+query, nil))
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	var out []containerInfo
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
	return out
}

func TestWhatContainersUseIsTold(t *testing.T) {
	names := append(needsCgroups(t), "disk")
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	cfg := Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Isolators: names}
	s := startSlave(t, cfg)
	take(t, "a registration", m.register)
	require.Empty(t, measured(t, s.Slave, ""))
	m.send(launch(sized(command("busy", "while :; do :; done"), "cpus:1;mem:64;disk:32")))
	busy := m.state("busy", offer.Running).Container.ID
	m.send(launch(sized(command("idle", "sleep 1000"), "cpus:0.1;mem:48")))
	idle := m.state("idle", offer.Running).Container.ID
	check := func(s *Slave) {
		eventually(t, "the busy one is seen to be", func() bool {
			for _, c := range measured(t, s, "?container_id="+busy) {
				require.Equal(t, offer.ExecutorID("busy"), c.Executor)
				require.Equal(t, offer.FrameworkID("f-1"), c.Framework)
				u := c.Statistics
				if u != nil && u.CPUUser > 0.1 && u.Processes == 1 && u.Threads == 1 {
					require.InDelta(t, float64(time.Now().Unix()), u.Timestamp, 60)
					require.EqualValues(t, 64<<20, u.MemoryLimit)
					require.EqualValues(t, 32<<20, u.DiskLimit)
					require.Positive(t, u.MemoryTotal)
					return true
				}
			}
			return false
		})
		all := measured(t, s, "")
		require.Len(t, all, 2)
		require.ElementsMatch(t, []string{busy, idle}, []string{all[0].Container, all[1].Container})
		require.Less(t, all[0].Container, all[1].Container, "sorted")
		require.Empty(t, measured(t, s, "?container_id=other"))
	}
	check(s.Slave)
	s.stop()
	s = startSlave(t, cfg)
	take(t, "a re-registration", m.register)
	check(s.Slave)
	for _, id := range []offer.TaskID{"busy", "idle"} {
		m.send(&message.Kill{Framework: "f-1", Task: id})
		m.state(id, offer.Killing)
		m.state(id, offer.Killed)
	}
	eventually(t, "they are told no more", func() bool { return len(measured(t, s.Slave, "")) == 0 })
}

func TestASlaveThatDoesNotRunTellsNoContainers(t *testing.T) {
	s, err := New(Config{WorkDir: t.TempDir(), Masters: []string{"a:1"}})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/monitor/statistics", nil))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
}
