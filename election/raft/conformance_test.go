package raft

import (
	"net"
	"testing"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/electiontest"
	"github.com/stretchr/testify/require"
)

func TestRaftKeepsTheContract(t *testing.T) {
	for name, n := range map[string]int{"one master": 1, "three masters": 3} {
		t.Run(name, func(t *testing.T) {
			electiontest.Run(t, func(t *testing.T) []electiontest.Master {
				var masters []electiontest.Master
				var peers []election.Peer
				for _, a := range freeAddresses(t, n) {
					peers = append(peers, election.Peer{Address: a})
				}
				for _, p := range peers {
					e, err := New(Config{Dir: t.TempDir(), Bootstrap: peers, HeartbeatTimeout: time.Second})
					require.NoError(t, err)
					ln, err := net.Listen("tcp", p.Address)
					require.NoError(t, err)
					masters = append(masters, electiontest.Master{Elector: e,
						Env: election.Env{Advertise: p.Address, Listener: ln, Dial: tcpDial}})
				}
				return masters
			})
		})
	}
}
