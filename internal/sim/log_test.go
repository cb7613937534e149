package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/registry"
)

// writes has the leader append a command that its core did not ask for, and takes no notice of.
func (l *lab) writes(op registry.Op) registry.Key {
	c := registry.Command{Key: registry.Key(l.uuid()), Op: op}
	l.log.propose(l.r, mastercore.Propose{Token: 1<<40 + uint64(len(l.r.flight)), Commands: []registry.Command{c}})
	return c.Key
}

func TestAWriteThatHangsIsNotOvertakenByTheNextOfItsLeader(t *testing.T) {
	l := newLab(t)
	left := func(d time.Duration) *registry.CountDown {
		return &registry.CountDown{Frameworks: []registry.Remaining{{ID: "f-99", Remaining: d}}}
	}
	l.r.m.pause(30 * time.Second)
	first := l.writes(left(3 * time.Minute))
	l.wait(30*time.Second + time.Millisecond)
	second := l.writes(left(2 * time.Minute))
	l.wait(time.Second)
	require.Nil(t, l.failed)
	var order []registry.Key
	for _, e := range l.log.entries {
		for _, c := range e.Commands {
			if c.Key == first || c.Key == second {
				order = append(order, c.Key)
			}
		}
	}
	require.Equal(t, []registry.Key{first, second}, order)
}

func TestAWriteIsNotOverBeforeItsLeaderHasTakenThatIn(t *testing.T) {
	l := newLab(t)
	g := &l.h.registers
	key := "member:" + string(l.s.sid)
	g.byKey, g.order = map[string]*register{}, nil
	l.r.m.cost = int64(time.Second)
	l.writes(&registry.MarkUnreachable{ID: l.s.sid})
	l.wait(100 * time.Millisecond)
	rec, ok := l.r.m.state.View().Slave(l.s.sid)
	require.True(t, ok)
	require.Equal(t, registry.SlaveUnreachable, rec.State)

	g.readSlave(l.r, l.r.core.View(), l.s.sid) // the core knows nothing of it yet
	require.True(t, g.byKey[key].linear(), "%s", g.byKey[key])
	require.Zero(t, g.byKey[key].ops[0].end)
	l.wait(5 * time.Second)
	require.NotZero(t, g.byKey[key].ops[0].end)
	g.readSlave(l.r, l.r.core.View(), l.s.sid) // it should by now
	require.False(t, g.byKey[key].linear(), "%s", g.byKey[key])
}

func TestAWriteThatALeaderNeverTakesInIsOverWithItsReign(t *testing.T) {
	l := newLab(t)
	g := &l.h.registers
	key := "member:" + string(l.s.sid)
	g.byKey, g.order = map[string]*register{}, nil
	l.r.m.cost = int64(time.Minute)
	l.writes(&registry.MarkUnreachable{ID: l.s.sid})
	l.wait(100 * time.Millisecond)
	require.Zero(t, g.byKey[key].ops[0].end)
	l.r.m.kill()
	require.NotZero(t, g.byKey[key].ops[0].end)
	require.Empty(t, l.r.unread)
}
