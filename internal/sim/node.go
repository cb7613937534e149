package sim

import (
	"time"

	"github.com/meros-project/meros/internal/message"
)

// A node is what machines have in common: a clock, a process that may stand still, and connections that may be cut in either direction.
// It is embedded in master, slave and framework.
type node struct {
	w       *World
	id      string
	alive   bool
	life    int // of the process, counts starts and ends
	paused  bool
	backlog []func() // what a process that stands still will find when it goes on
	clock   clock
	mute    uint32 // masters, by bit, that do not hear this node
	deaf    uint32 // masters that this node does not hear
	away    bool   // is not healed in this round
	stood   int64  // when it last went on after a pause
	failed  int    // attempts to find the leader since it was last heard

	rate      int64 // bytes a second of its connections; zero: as many as it likes
	exhausted bool  // can open nothing
	asleep    int64 // when its machine was suspended; zero: it is not
	slept     int64 // nanoseconds that it was suspended
	cost      int64 // nanoseconds that each event takes
	turn      int64 // when the last event that waits has its turn
	inTurn    bool
}

// patience is how long a client waits before it looks for the leader again.
func (n *node) patience() time.Duration {
	n.failed++
	return n.w.between(time.Millisecond, 100*time.Millisecond<<min(n.failed, 6))
}

// heardOf notes that a leader speaks.
func (n *node) heardOf(e message.Envelope) {
	if e.Reign != 0 {
		n.failed = 0
	}
}

// time is what the node's clock shows.
func (n *node) time() time.Time { return n.clock.at(n.w.ns) }

// when is the virtual time of a time of the node.
func (n *node) when(t time.Time) int64 {
	now := n.time()
	return n.clock.when(n.clock.reading(n.w.ns) + int64(t.Sub(now)))
}

// later keeps do for when the process goes on, if it stands still.
func (n *node) later(do func()) bool {
	if n.paused {
		n.backlog = append(n.backlog, do)
	}
	return n.paused
}

// pause stops the process for a while: its sockets fill up, its timers are late.
func (n *node) pause(d time.Duration) {
	if n.paused || !n.alive {
		return
	}
	n.paused = true
	n.w.note(n.id, "stands still for %v", d)
	life := n.life
	n.w.after(d, func() {
		if n.life == life {
			n.resume()
		}
	})
}

// resume lets the process go on with what has piled up.
func (n *node) resume() {
	if !n.paused {
		return
	}
	n.w.note(n.id, "goes on")
	n.wake()
	n.paused, n.stood = false, n.w.ns
	work := n.backlog
	n.backlog = nil
	for _, do := range work {
		do()
	}
}

// died forgets what a process held.
func (n *node) died() {
	n.wake()
	n.alive, n.paused, n.backlog = false, false, nil
	n.cost, n.turn = 0, 0
	n.life++
}

// queued keeps do for the node's next turn, if it is starved; events keep their order.
func (n *node) queued(do func()) bool {
	if n.inTurn || n.cost == 0 && n.turn <= n.w.ns {
		return false
	}
	n.turn = max(n.turn, n.w.ns) + n.cost
	life := n.life
	n.w.atNS(n.turn, func() {
		if n.life == life {
			n.inTurn = true
			do()
			n.inTurn = false
		}
	})
	return true
}

// fed ends a starvation.
func (n *node) fed() {
	if n.cost != 0 {
		n.w.note(n.id, "has its processor again")
		n.w.states.reach(StateStarved)
		n.cost, n.stood = 0, max(n.turn, n.w.ns)
	}
}

// relieve gives a node back all that a process can lack.
func (n *node) relieve() {
	n.fed()
	n.rate, n.exhausted = 0, false
}

// cutFrom reports whether nothing gets from the node to a master, or back.
func (n *node) cutFrom(m *master) (up, down bool) {
	bit := uint32(1) << m.number
	return n.mute&bit != 0, n.deaf&bit != 0
}

// nodes are all of them, in order.
func (w *World) nodes() (out []*node) {
	for _, m := range w.masters {
		out = append(out, &m.node)
	}
	for _, s := range w.slaves {
		out = append(out, &s.node)
	}
	for _, f := range w.frameworks {
		out = append(out, &f.node)
	}
	return out
}
