package elector_test

import (
	"testing"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/electiontest"
	"github.com/meros-project/meros/examples/elector"
)

func TestTheLockKeepsTheContract(t *testing.T) { electiontest.Run(t, electiontest.Of(3, open)) }

// open makes a cluster's folder, and electors in it.
func open(t *testing.T) func(address string) election.Elector {
	dir := t.TempDir()
	return func(address string) election.Elector { return elector.New(dir, address) }
}
