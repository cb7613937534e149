package electiontest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
)

func open(fault string) func(t *testing.T) func(string) election.Elector {
	return func(*testing.T) func(string) election.Elector { return newHub(fault).elector }
}

// patient makes a cluster in which a reign that was resigned is followed by another only after a time, which is short by default.
func patient(fault string) []Master {
	h := newHub(fault)
	var masters []Master
	for i := range 3 {
		address := fmt.Sprintf("127.0.0.1:%d", 5050+i)
		of := func(timeout time.Duration) (election.Elector, election.Env) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.timeout = timeout
			return h.elector(address), election.Env{Advertise: address}
		}
		masters = append(masters, Master{
			New:     func(testing.TB) (election.Elector, election.Env) { return of(time.Millisecond) },
			Patient: func(_ testing.TB, timeout time.Duration) (election.Elector, election.Env) { return of(timeout) },
		})
	}
	return masters
}

func TestARightElectorPasses(t *testing.T) { Run(t, Of(3, open("none"))) }

// Each promise can be seen to be broken, and by the check that is meant to see it.
func TestAWrongElectorFails(t *testing.T) {
	for _, wrong := range []struct{ fault, check, says string }{
		{"two lead", "one history is made by one leader at a time, whatever happens", "was committed in reign"},
		{"one number", "reigns rise and are handed over", "reign 7 came after reign 7"},
		{"one number", "each outcome is told once and is true when a reign is resigned", "two reigns have one number"},
		{"deposed still writes", "a deposed reign cannot propose", "was committed in reign"},
		{"deposed still leads", "a deposed reign cannot propose", "which has ended: <nil>"},
		{"forgets", "what was committed survives the end of every master", "two masters applied different entries"},
		{"out of order", "entries are applied everywhere in the order of the calls", "proposal 1 has index"},
		{"other order", "a snapshot equals the replay of what it covers", "do not agree|two masters applied different entries"},
		{"snapshot loses", "a snapshot equals the replay of what it covers", "two masters applied different entries"},
		{"nobody follows", "reigns rise and are handed over", "nobody leads after"},
		{"deposed is a lie", "each outcome is told once and is true when a reign is resigned", "was said not to be committed, and was"},
		{"success is a lie", "what was committed survives the end of every master", "was said to be committed, and was not"},
		{"never told", "each outcome is told once and is true when a reign is resigned", "the outcome of every proposal did not come about"},
		{"told twice", "a reign leads and ends with Run", "has 2 outcomes"},
		{"stale results", "one history is made by one leader at a time, whatever happens", "cannot have happened one after the other"},
		{"nobody follows", waitedOut, "nobody leads after"},
		{"resignation is waited out", waitedOut, "most reigns that were resigned were waited out"},
		{"hands over to whoever is next", "leadership goes to the master that is named", "leadership went to the master that was named 0 times"},
		{"hands over to nobody", "leadership goes to the master that is named", "was handed to a master that is not there"},
		{"anybody hands over", "leadership goes to the master that is named", "Transfer on a master that does not lead: <nil>"},
		{"too large is taken", "an entry that is too large is refused", "an entry of MaxEntry.1 bytes: <nil>"},
	} {
		t.Run(wrong.fault, func(t *testing.T) {
			for _, k := range checks {
				if k.name == wrong.check {
					require.Regexp(t, wrong.says, k.try(t, patient(wrong.fault), 2*time.Second))
					return
				}
			}
			t.Fatalf("there is no check %q", wrong.check)
		})
	}
}
