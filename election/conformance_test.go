package election_test

import (
	"testing"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/electiontest"
)

func TestStandaloneKeepsTheContract(t *testing.T) {
	for name, open := range map[string]func(*testing.T) electiontest.Master{
		"in memory": func(*testing.T) electiontest.Master { return standalone(true) },
		"on disk": func(t *testing.T) electiontest.Master {
			return standalone(false, election.InDir(t.TempDir()), election.SnapshotEvery(64))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			electiontest.Run(t, func(t *testing.T) []electiontest.Master { return []electiontest.Master{open(t)} })
		})
	}
}

func standalone(forgets bool, opts ...election.StandaloneOption) electiontest.Master {
	return electiontest.Master{Forgets: forgets, New: func(testing.TB) (election.Elector, election.Env) {
		return election.Standalone(opts...), election.Env{Advertise: "127.0.0.1:5050"}
	}}
}
