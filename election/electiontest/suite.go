package electiontest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/meros-project/meros/election"
)

// A Master is one master of a cluster that is to be checked.
type Master struct {
	// New makes its elector and the environment to run it in; the suite fills in StateMachine and Opening. It is called at each start of
	// the master: what an earlier elector of this master has kept must be found again. Required.
	New func(t testing.TB) (election.Elector, election.Env)
	// Patient is New with an elector that gives up a leader of whom nothing is heard only after timeout, so that a resignation that is
	// handed over can be told from one that is waited out. Without it New is used there, and a timeout of its own of five seconds or less
	// hides that nobody hands over.
	Patient func(t testing.TB, timeout time.Duration) (election.Elector, election.Env)
	// Forgets says that nothing is kept when all masters have ended, so that nothing is expected to survive. Defaults to false.
	Forgets bool
	// Cut separates this master from the others and from whatever they agree by, and Heal ends that. Heal may be called without Cut.
	// Both may be nil: then no check cuts masters off.
	Cut, Heal func()
}

// Of makes what Run needs in the common case: a cluster of n masters whose electors need no listener. For each check open is called
// once, for what the masters of one cluster share; what it returns makes the elector of the master with that address, at each of its
// starts.
func Of(n int, open func(t *testing.T) func(address string) election.Elector) func(t *testing.T) []Master {
	return func(t *testing.T) []Master {
		elector := open(t)
		var masters []Master
		for i := range n {
			address := fmt.Sprintf("127.0.0.1:%d", 5050+i)
			masters = append(masters, Master{New: func(testing.TB) (election.Elector, election.Env) {
				return elector(address), election.Env{Advertise: address}
			}})
		}
		return masters
	}
}

// patience bounds how long a reign, an outcome or an end may take to come about. It is generous: a slow machine is no wrong elector.
const patience = 30 * time.Second

// A check is one promise of the contract.
type check struct {
	name string
	run  func(*cluster)
}

const waitedOut = "a reign that is resigned is handed over, not waited out"

var checks = []check{
	{"a reign leads and ends with Run", reignEnds},
	{"entries are applied everywhere in the order of the calls", callOrder},
	{"each outcome is told once and is true when a reign is resigned", outcomes},
	{"reigns rise and are handed over", reignsRise},
	{waitedOut, handedOver},
	{"leadership goes to the master that is named", transferred},
	{"a deposed reign cannot propose", deposed},
	{"an entry that is too large is refused", tooLarge},
	{"a snapshot equals the replay of what it covers", snapshots},
	{"what was committed survives the end of every master", survives},
	{"one history is made by one leader at a time, whatever happens", whatever},
}

// Run checks the contract on clusters that start returns, one fresh cluster for each check: all its masters, not running yet.
func Run(t *testing.T, start func(t *testing.T) []Master) {
	for _, k := range checks {
		t.Run(k.name, func(t *testing.T) {
			if failure := k.try(t, start(t), patience); failure != "" {
				t.Fatal(failure)
			}
		})
	}
}

// try runs the check and tells how it failed, "" if it did not.
func (k check) try(t testing.TB, masters []Master, patience time.Duration) string {
	r := &recorder{}
	c := &cluster{t: r, tb: t, patience: patience, terms: make(chan reign, 1024), reigns: map[uint64]int{}, history: history{t0: time.Now()}}
	r.watch(func() {
		for _, m := range masters {
			if k.name == waitedOut && m.Patient != nil {
				m.New = func(t testing.TB) (election.Elector, election.Env) { return m.Patient(t, c.timeout()) }
			}
			c.nodes = append(c.nodes, &node{Master: m, index: len(c.nodes)})
		}
		c.startAll()
		k.run(c)
		c.stopAll()
		c.verify()
	})
	c.abandon()
	return r.String()
}

func reignEnds(c *cluster) {
	r := c.next()
	c.propose(&r, "a")
	for !c.knowsItLeads(r) {
		r = c.next() // lost without our doing
	}
	n := c.nodes[r.of]
	e := n.elector
	c.require(e.Run(context.Background(), n.env) != nil, "Run was called twice and did not refuse")
	changed := e.LeaderChanged()
	c.stopAll()
	c.closed(r.Done(), "Done after Run has returned")
	c.closed(changed, "LeaderChanged after Run has returned")
	_, _, err := c.proposed(r, "late")
	c.require(isDeposed(err), "a proposal after Run has returned: %v", err)
	for _, n := range c.nodes {
		_, ok := n.elector.Leader()
		c.require(!ok, "a master that has ended knows a leader")
	}
}

// knowsItLeads checks what the leader says of itself; false if it has ceased to lead meanwhile.
func (c *cluster) knowsItLeads(r reign) bool {
	n := c.nodes[r.of]
	leader, ok := n.elector.Leader()
	if ok && leader.Address == n.env.Advertise && leader.ID != "" {
		return true
	}
	timer := time.NewTimer(c.patience)
	defer timer.Stop()
	select {
	case <-r.Done():
	case <-timer.C:
		c.t.fail("the leader at %s says that %+v leads (%v)", n.env.Advertise, leader, ok)
	}
	return false
}

func callOrder(c *cluster) {
	const n = 500
	for r := c.next(); ; r = c.next() {
		all := c.batch(r, n, func(i int) string { return fmt.Sprintf("call %d %d", r.Reign(), i) })
		c.within("the outcome of every proposal", all.wait)
		if all.lost() {
			continue // deposed on the way, which outcomes looks at
		}
		for i := 1; i < n; i++ {
			c.require(all.indexes[i] > all.indexes[i-1], "proposal %d has index %d, the one before %d", i, all.indexes[i], all.indexes[i-1])
			before, _ := all.results[i-1].(int)
			c.require(all.results[i] == before+1, "proposal %d is entry %v, the one before %d", i, all.results[i], before)
		}
		for i, at := range all.order {
			c.require(i == at, "outcome %d was told as number %d", at, i)
		}
		c.agree(fmt.Sprintf("call %d %d", r.Reign(), n-1))
		return
	}
}

func outcomes(c *cluster) {
	r := c.next()
	for round := range 3 {
		first := c.batch(r, 100, func(i int) string { return fmt.Sprintf("outcome %d.%d", round, i) })
		resigned := c.resign(r)
		second := c.batch(r, 100, func(i int) string { return fmt.Sprintf("outcome %d.%d", round, 100+i) })
		c.within("the outcome of every proposal", first.wait)
		c.within("the outcome of every proposal", second.wait)
		c.closed(resigned, "Resign")
		c.closed(r.Done(), "Done of a reign that was resigned")
		r = c.next()
	}
	c.propose(&r, "end")
	c.agree("end")
}

func reignsRise(c *cluster) {
	last := uint64(0)
	for range 4 {
		r := c.next()
		for r.Reign() < last { // one that was lost, and told late
			c.closed(r.Done(), "Done of a reign after which there was another")
			r = c.next()
		}
		c.require(r.Reign() > last, "reign %d came after reign %d", r.Reign(), last)
		last = r.Reign()
		c.closed(c.resign(r), "Resign")
		c.closed(r.Done(), "Done of a reign that was resigned")
		_, _, err := c.proposed(r, fmt.Sprint("late ", last))
		c.require(isDeposed(err), "a proposal after Resign: %v", err)
	}
	began := time.Now()
	r := c.next()
	c.tb.Logf("reign %d began %v after reign %d was resigned", r.Reign(), time.Since(began).Round(time.Millisecond), last)
}

// deposed makes a reign end in each way that there is, and goes on proposing in it.
func deposed(c *cluster) {
	var old []reign
	late := func() {
		for _, r := range old {
			_, _, err := c.proposed(r, fmt.Sprintf("late in %d of %d", r.Reign(), len(old)))
			c.require(isDeposed(err), "a proposal in reign %d, which has ended: %v", r.Reign(), err)
		}
	}
	ways := []func(reign){func(r reign) { c.closed(c.resign(r), "Resign") }}
	if !c.nodes[0].Forgets {
		ways = append(ways, func(r reign) { c.restart(r.of) })
	}
	if c.nodes[0].Cut != nil && len(c.nodes) > 1 {
		ways = append(ways, func(r reign) { c.nodes[r.of].Cut() })
	}
	for _, way := range ways {
		r := c.next()
		c.propose(&r, fmt.Sprint("in ", r.Reign()))
		way(r)
		c.closed(r.Done(), "Done of a reign that was ended")
		old = append(old, r)
		late()
	}
	r := c.next()
	c.propose(&r, "meanwhile")
	c.heal()
	late()
	c.propose(&r, "end")
	c.agree("end")
}

func tooLarge(c *cluster) {
	r := c.next()
	_, _, err := c.proposed(r, fmt.Sprintf("%0*d", election.MaxEntry+1, 7))
	for isDeposed(err) && r.over() { // lost without our doing
		r = c.next()
		_, _, err = c.proposed(r, fmt.Sprintf("%0*d", election.MaxEntry+1, 7))
	}
	c.require(isTooLarge(err), "an entry of MaxEntry+1 bytes: %v", err)
	largest := fmt.Sprintf("%0*d", election.MaxEntry, 7)
	c.propose(&r, largest)
	c.agree(largest)
}

// snapshots compares masters that were there all the time with masters that start from a snapshot.
func snapshots(c *cluster) {
	r := c.next()
	for i := range 20 {
		c.propose(&r, fmt.Sprint("before ", i))
	}
	c.agree("before 19")
	taken := false
	for _, n := range c.nodes {
		if s, ok := n.elector.(election.Snapshotter); ok {
			ctx, cancel := context.WithTimeout(context.Background(), c.patience)
			err := s.TakeSnapshot(ctx)
			cancel()
			c.require(err == nil || isDeposed(err), "TakeSnapshot: %v", err)
			taken = taken || err == nil
		}
	}
	c.propose(&r, "after")
	c.agree("after")
	if c.nodes[0].Forgets {
		return
	}
	c.stopAll()
	c.startAll()
	r = c.next()
	c.propose(&r, "end")
	c.agree("end")
	restored := 0
	for _, n := range c.nodes {
		restored += n.ledger.restores()
	}
	c.require(!taken || restored > 0, "a snapshot was taken, and no master that started again took it over")
}

func survives(c *cluster) {
	if c.nodes[0].Forgets {
		c.tb.Log("not checked: these masters keep nothing, as they say")
		return
	}
	for round := range 3 {
		r := c.next()
		for i := range 10 {
			c.propose(&r, fmt.Sprintf("life %d, %d", round, i))
		}
		c.stopAll()
		c.startAll()
	}
	r := c.next()
	c.propose(&r, "end")
	c.agree("end")
}
