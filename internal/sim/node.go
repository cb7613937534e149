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
	n.paused, n.stood = false, n.w.ns
	work := n.backlog
	n.backlog = nil
	for _, do := range work {
		do()
	}
}

// died forgets what a process held.
func (n *node) died() {
	n.alive, n.paused, n.backlog = false, false, nil
	n.life++
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
