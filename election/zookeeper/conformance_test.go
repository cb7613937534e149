package zookeeper

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/electiontest"
)

func TestZooKeeperKeepsTheContract(t *testing.T) {
	t.Parallel()
	servers := startEnsemble(t, 1)
	var paths atomic.Int64
	electiontest.Run(t, func(t *testing.T) []electiontest.Master {
		path := fmt.Sprintf("/meros/contract-%d", paths.Add(1))
		var masters []electiontest.Master
		for i := range 3 {
			p := newProxy(t, servers[0].address)
			patient := func(t testing.TB, timeout time.Duration) (election.Elector, election.Env) {
				e, err := New(Config{Address: "zk://meros:secret@" + p.address() + path, SessionTimeout: timeout, SnapshotEvery: 100})
				require.NoError(t, err)
				return e, election.Env{Advertise: fmt.Sprintf("127.0.0.1:%d", 5050+i)}
			}
			masters = append(masters, electiontest.Master{
				New:     func(t testing.TB) (election.Elector, election.Env) { return patient(t, 3*time.Second) },
				Patient: patient,
				Cut:     p.cut,
				Heal:    p.heal,
			})
		}
		return masters
	})
}
