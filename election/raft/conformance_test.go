package raft

import (
	"fmt"
	"testing"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/electiontest"
	"github.com/stretchr/testify/require"
)

func TestRaftKeepsTheContract(t *testing.T) {
	for name, n := range map[string]int{"one master": 1, "three masters": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			electiontest.Run(t, func(t *testing.T) []electiontest.Master { return conforming(t, n) })
		})
	}
}

// conforming makes masters on a network that can be cut.
func conforming(t *testing.T, n int) []electiontest.Master {
	network := newMemNet()
	var addresses []string
	var peers []election.Peer
	for i := range n {
		addresses = append(addresses, fmt.Sprintf("10.0.0.%d:5050", i+1))
		peers = append(peers, election.Peer{Address: addresses[i]})
	}
	var masters []electiontest.Master
	for _, address := range addresses {
		dir, self := t.TempDir(), []string{address}
		patient := func(t testing.TB, timeout time.Duration) (election.Elector, election.Env) {
			e, err := New(Config{Dir: dir, Bootstrap: peers, HeartbeatTimeout: timeout})
			require.NoError(t, err)
			return e, election.Env{Advertise: address, Listener: network.listen(address), Dial: network.dialer(address)}
		}
		masters = append(masters, electiontest.Master{
			New:     func(t testing.TB) (election.Elector, election.Env) { return patient(t, 500*time.Millisecond) },
			Patient: patient,
			Cut:     func() { network.set(true, self, addresses); network.set(true, addresses, self) },
			Heal:    func() { network.set(false, self, addresses); network.set(false, addresses, self) },
		})
	}
	return masters
}
