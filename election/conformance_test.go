package election_test

import (
	"testing"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/electiontest"
)

func TestStandaloneKeepsTheContract(t *testing.T) {
	for name, opts := range map[string]func(*testing.T) []election.StandaloneOption{
		"in memory": func(*testing.T) []election.StandaloneOption { return nil },
		"on disk": func(t *testing.T) []election.StandaloneOption {
			return []election.StandaloneOption{election.InDir(t.TempDir()), election.SnapshotEvery(64)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			electiontest.Run(t, func(t *testing.T) []electiontest.Master {
				return []electiontest.Master{{Elector: election.Standalone(opts(t)...), Env: election.Env{Advertise: "127.0.0.1:5050"}}}
			})
		})
	}
}
