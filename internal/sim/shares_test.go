package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A glutton runs a task on all that it is offered.
type glutton struct {
	role string
	call func(message.Message)
	n    int
}

func (g *glutton) Describe() offer.Framework {
	return offer.Framework{Name: g.role, Roles: []string{g.role}, FailoverTimeout: time.Hour, Principal: g.role}
}

func (g *glutton) Bind(call func(message.Message)) { g.call = call }

func (g *glutton) Handle(m message.Message) (bool, error) {
	offers, is := m.(*message.Offers)
	if !is {
		return true, nil
	}
	for _, o := range offers.Offers {
		g.n++
		t := offer.Task{ID: offer.TaskID(fmt.Sprintf("%s-%d", g.role, g.n)), SlaveID: o.SlaveID, Resources: o.Resources, Command: &offer.Command{Value: "work"}}
		g.call(&message.Accept{Last: true, Offers: []offer.OfferID{o.ID}, Operations: []offer.Operation{offer.Launch(t)}})
	}
	return true, nil
}

// R10: where all is used, each has its share, to one task, in proportion to its weight; across a change of leaders too.
func TestWhoWantsAllGetsAShareByWeight(t *testing.T) {
	w := New(Config{Seed: 9, Slaves: 40, Frameworks: -1, Runs: long, Resources: resource.Must("cpus:1;mem:256")})
	w.Calm()
	weights := map[string]int64{"a": 1, "b": 1, "c": 2}
	w.Advance(30 * time.Second)
	for role, weight := range weights {
		w.operator.ask(message.Operate{Verb: message.VerbSetWeight, Role: role, Weight: resource.Units(weight)})
	}
	w.Advance(5 * time.Second)
	all := func(verb message.Verb) {
		for _, s := range w.slaves {
			w.operator.ask(message.Operate{Verb: verb, Slave: s.sid})
		}
	}
	all(message.VerbDeactivate) // until everybody is at the table
	for _, role := range []string{"a", "b", "c"} {
		w.Attach(&glutton{role: role})
	}
	w.Advance(30 * time.Second)
	all(message.VerbReactivate)
	w.Advance(2 * time.Minute)
	shares := func() map[string]int64 {
		have := map[string]int64{}
		for t := range w.Leading().Tasks() {
			have[t.Role]++
		}
		return have
	}
	have := shares()
	require.Equal(t, int64(40), have["a"]+have["b"]+have["c"], "%v", have)
	for role, weight := range weights {
		require.InDelta(t, 10*weight, have[role], 1, "%v", have)
	}
	w.KillLeader(time.Second)
	w.Advance(2 * time.Minute)
	require.Equal(t, have, shares())
	require.Nil(t, w.Failed())
}
