package sim

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/wire"
)

// corrupted draws whether the message that was just encoded is damaged on its way. A reader without TLS refuses most of it and may take the
// rest for another message; that is why TLS is asked for beyond loopback. It notices all of it, so that the connection breaks and
// nothing is delivered.
func (l *link) corrupted() bool {
	w := l.w
	if !w.bites(FaultCorrupt, 0.001) {
		return false
	}
	d := w.dice(FaultCorrupt)
	b := append([]byte(nil), w.sent...)
	for range 1 + d.IntN(8) {
		b[d.IntN(len(b))] ^= byte(1 + d.IntN(255))
	}
	if _, err := wire.DecodeBatch(nil, b); err != nil {
		w.states.reach(StateCorruptRefused)
	} else {
		w.states.reach(StateCorruptUnseen)
	}
	w.note("net", "connection %d of %s breaks: a frame of %d bytes is damaged", l.number, l.client.name(), len(b))
	l.sever(d.between(time.Millisecond, time.Second))
	return true
}

// narrow takes most of the bandwidth from a node's connections.
func (w *World) narrow(d *dice) {
	n := w.whom(d)
	n.rate = 2_000 << d.IntN(6) // bytes a second: from 16 kbit/s on
	w.note("net", "connections of %s carry %d bytes a second", n.id, int(n.rate))
	w.after(d.mostly(5*time.Second, 10*time.Minute), func() { n.rate = 0 })
}

// squeezed is how long a message waits for those before it, and takes itself, where a connection is narrow.
func (l *link) squeezed(way *way, size int) time.Duration {
	rate := l.client.self().rate
	if r := l.server.rate; rate == 0 || r != 0 && r < rate {
		rate = r
	}
	if rate == 0 {
		return 0
	}
	way.busy = max(l.w.ns, way.busy) + int64(size)*int64(time.Second)/rate
	wait := time.Duration(way.busy - l.w.ns)
	if wait > 200*time.Millisecond {
		l.w.states.reach(StateSqueezed)
	}
	return wait
}

// readdress has a slave come back under an address that nobody had before.
func (w *World) readdress(d *dice) {
	s := w.someSlave(d)
	s.moves++
	s.address = fmt.Sprintf("%s-%d:5051", s.id, s.moves)
	w.note(s.id, "moves to %s", s.address)
	if s.sid != "" {
		w.states.reach(StateMoved)
	}
	s.crash()
	w.after(d.between(time.Second, 20*time.Second), s.restart)
}

// noFiles keeps a node from opening anything: it dials nobody, nobody gets through to it, and no container can be started there. What is open
// stays so.
func (w *World) noFiles(d *dice) {
	n := w.whom(d)
	n.exhausted = true
	w.note(n.id, "has no descriptors left")
	w.after(d.mostly(time.Second, 3*time.Minute), func() { n.exhausted = false })
}
