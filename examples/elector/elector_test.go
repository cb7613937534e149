package elector_test

import (
	"testing"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/electiontest"
	"github.com/meros-project/meros/examples/elector"
)

func TestTheLeaseKeepsTheContract(t *testing.T) { electiontest.Run(t, electiontest.Of(3, open)) }

// open makes what a cluster's masters share, and electors on it.
func open(*testing.T) func(address string) election.Elector {
	s := elector.NewStore()
	return func(address string) election.Elector { return elector.New(s, address) }
}
