package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// cpus is a call that sets the limit of a role.
func cpus(n int64) *message.Operate {
	return &message.Operate{Verb: message.VerbSetQuota, Role: "a", Limit: resource.Quantities{{Name: resource.CPUs, Amount: resource.Units(n)}}}
}

func limited(n int64) value {
	return value{Weight: registry.DefaultWeight, Limit: quantities(cpus(n).Limit)}
}

// A historian writes histories down by hand.
type historian struct{ registers }

func (g *historian) ask(m *message.Operate) { g.done(g.asked(m), false) }

// write proposes what a master writes, and commits it at once if so asked.
func (g *historian) write(r *reign, committed bool, op registry.Op) {
	commands := []registry.Command{{Key: registry.Key{byte(g.tick())}, Op: op}}
	g.proposed(r, commands)
	if committed {
		g.committed(r, commands, []registry.Result{{}})
	}
}

// One history of each kind of key that cannot have happened, and one like it that can.
func TestHistoriesThatCannotHaveHappenedAreToldFromThoseThatCan(t *testing.T) {
	r, s := &reign{}, offer.SlaveID("s-1")
	operate := func(v message.Verb) *message.Operate { return &message.Operate{Verb: v, Slave: s} }
	for name, x := range map[string]struct{ wrong, right func(g *historian) }{
		"a quota is lost": {
			func(g *historian) { g.ask(cpus(3)); g.saw("role:a", defaultRole) },
			func(g *historian) { g.ask(cpus(3)); g.saw("role:a", limited(3)) }},
		"a quota comes back": {
			func(g *historian) {
				g.ask(cpus(3))
				g.ask(cpus(5))
				g.saw("role:a", limited(5))
				g.saw("role:a", limited(3))
			},
			func(g *historian) {
				g.ask(cpus(3))
				g.ask(cpus(5))
				g.saw("role:a", limited(5))
				g.saw("role:a", limited(5))
			}},
		"what nobody knows has happened and has not": {
			func(g *historian) { g.asked(cpus(3)); g.saw("role:a", limited(3)); g.saw("role:a", defaultRole) },
			func(g *historian) { g.asked(cpus(3)); g.saw("role:a", defaultRole); g.saw("role:a", limited(3)) }},
		"a refused call has taken effect": {
			func(g *historian) {
				g.saw("role:a", defaultRole)
				g.done(g.asked(cpus(3)), true)
				g.saw("role:a", limited(3))
			},
			func(g *historian) {
				g.saw("role:a", defaultRole)
				g.done(g.asked(cpus(3)), true)
				g.saw("role:a", defaultRole)
			}},
		"a weight undoes a quota": {
			func(g *historian) {
				g.ask(cpus(3))
				g.ask(&message.Operate{Verb: message.VerbSetWeight, Role: "a", Weight: 2000})
				g.saw("role:a", value{Weight: 2000})
			},
			func(g *historian) {
				g.ask(cpus(3))
				g.ask(&message.Operate{Verb: message.VerbSetWeight, Role: "a", Weight: 2000})
				g.saw("role:a", value{Weight: 2000, Limit: limited(3).Limit})
			}},
		"a drain is lost": {
			func(g *historian) { g.ask(operate(message.VerbDrain)); g.saw("slave:s-1", value{Inactive: true}) },
			func(g *historian) {
				g.ask(operate(message.VerbDrain))
				g.saw("slave:s-1", value{Inactive: true, Drains: true})
			}},
		"a reactivation leaves the drain": {
			func(g *historian) {
				g.ask(operate(message.VerbDrain))
				g.ask(operate(message.VerbReactivate))
				g.saw("slave:s-1", value{Drains: true})
			},
			func(g *historian) {
				g.ask(operate(message.VerbDrain))
				g.ask(operate(message.VerbReactivate))
				g.saw("slave:s-1", value{})
			}},
		"a slave goes without a word": {
			func(g *historian) { g.ask(operate(message.VerbDrain)); g.saw("slave:s-1", value{Is: gone}) },
			func(g *historian) {
				m := operate(message.VerbDrain)
				m.Drain.MarkGone = true
				g.ask(m)
				g.saw("slave:s-1", value{Is: gone})
			}},
		"who is gone is back": {
			func(g *historian) {
				g.ask(operate(message.VerbMarkGone))
				g.ask(operate(message.VerbDeactivate))
				g.saw("slave:s-1", value{Inactive: true})
			},
			func(g *historian) {
				g.ask(operate(message.VerbMarkGone))
				g.ask(operate(message.VerbDeactivate))
				g.saw("slave:s-1", value{Is: gone})
			}},
		"an unreachable slave is admitted before it is written": {
			func(g *historian) {
				g.write(r, true, &registry.MarkUnreachable{ID: s})
				g.saw("member:s-1", value{})
				g.write(r, true, &registry.MarkReachable{Slave: offer.Slave{ID: s}})
			},
			func(g *historian) {
				g.write(r, true, &registry.MarkUnreachable{ID: s})
				g.write(r, false, &registry.MarkReachable{Slave: offer.Slave{ID: s}})
				g.saw("member:s-1", value{})
			}},
		"a gone slave is on record": {
			func(g *historian) { g.write(r, true, &registry.MarkGone{ID: s}); g.saw("member:s-1", value{}) },
			func(g *historian) { g.write(r, true, &registry.MarkGone{ID: s}); g.saw("member:s-1", value{Is: gone}) }},
		"a slave that left is on record": {
			func(g *historian) { g.write(r, true, &registry.RemoveSlave{ID: s}); g.saw("member:s-1", value{}) },
			func(g *historian) {
				g.write(r, true, &registry.RemoveSlave{ID: s})
				g.saw("member:s-1", value{Is: missing})
			}},
		"a pruned slave is on record": {
			func(g *historian) {
				g.write(r, true, &registry.MarkUnreachable{ID: s})
				g.write(r, true, &registry.PruneSlaves{IDs: []offer.SlaveID{s}})
				g.saw("member:s-1", value{Is: unreachable})
			},
			func(g *historian) {
				g.write(r, true, &registry.MarkUnreachable{ID: s})
				g.write(r, true, &registry.PruneSlaves{IDs: []offer.SlaveID{s}})
				g.saw("member:s-1", value{Is: missing})
			}},
		"a removed framework is on record": {
			func(g *historian) {
				g.write(r, true, &registry.RemoveFramework{ID: "f-1"})
				g.saw("frame:f-1", value{})
			},
			func(g *historian) {
				g.write(r, true, &registry.RemoveFramework{ID: "f-1"})
				g.saw("frame:f-1", value{Is: missing})
			}},
	} {
		t.Run(name, func(t *testing.T) {
			g := &historian{newRegisters()}
			x.right(g)
			require.Nil(t, g.check())
			g = &historian{newRegisters()}
			x.wrong(g)
			require.NotNil(t, g.check())
		})
	}
}

// A leader that does not learn what became of a change, and makes it again, keeps what its registry keeps.
func TestALeaderKeepsTheQuotaOfItsRegistry(t *testing.T) {
	w := New(Config{Seed: 1, Slaves: 3, Frameworks: 1, Faults: NoFaults})
	w.until(epoch.Add(time.Minute))
	w.swarm.unknown = 1
	w.operator.ask(*cpus(3))
	w.until(w.now.Add(20 * time.Millisecond))
	w.swarm.unknown = 0
	w.operator.ask(*cpus(5))
	w.until(w.now.Add(20 * time.Second))
	r := w.log.leader
	w.history.registers.readAll(r)
	w.log.elect()
	w.until(w.now.Add(20 * time.Second))
	require.NotEqual(t, r, w.log.leader)
	require.Nil(t, w.history.registers.check())
	require.Nil(t, w.failed)
}
