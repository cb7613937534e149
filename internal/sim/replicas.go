package sim

import (
	"bytes"

	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/internal/wire"
)

// What the observer sees of the replicas of the registry.

// snapshot writes a state as masters send it to each other.
func (w *World) snapshot(v *registry.View) []byte {
	var b bytes.Buffer
	if _, err := wire.WriteSnapshot(&b, v.Export()); err != nil {
		w.violate("L6", "snapshot: %v", err)
	}
	return b.Bytes()
}

// transplant makes a state of another's snapshot. What it writes in turn must be the same in every byte (L6), and it must be no older than what
// the master had before (L10). It returns nil if that does not work.
func (w *World) transplant(m *master, v *registry.View) *registry.State {
	sent := w.snapshot(v)
	carried := sent
	if p := w.cfg.Plant; p != nil && p.Snapshot != nil {
		var b bytes.Buffer
		if _, err := wire.WriteSnapshot(&b, p.Snapshot(v.Export())); err != nil {
			w.violate("wire", "snapshot: %v", err)
		}
		carried = b.Bytes()
	}
	state, err := registry.Import(wire.ReadSnapshot(bytes.NewReader(carried)))
	if err != nil {
		w.violate("L6", "snapshot for %s: %v", m.id, err)
		return nil
	}
	if w.history.snapshots++; w.history.snapshots%2 == 1 || len(carried) < 1<<14 { // a large one takes long, and every second of them will do
		w.history.transplanted(m, sent, state)
	}
	return state
}

func (h *history) transplanted(m *master, sent []byte, state *registry.State) {
	if !bytes.Equal(sent, h.w.snapshot(state.View())) {
		h.w.violate("L6", "%s has another state than the one that it got a snapshot of", m.id)
	}
	h.read(m.id, &m.seen, state.View())
}

// read sees somebody read a registry: nobody sees it go back (L10).
func (h *history) read(who string, seen *uint64, v *registry.View) {
	if n := v.Header().Commands; n < *seen {
		h.w.violate("L10", "%s sees the registry after %d commands, and has seen it after %d", who, n, *seen)
	} else {
		*seen = n
	}
}

// replicaEvery is how many entries lie between two comparisons of the replicas.
const replicaEvery = 400

// applied sees a master that has applied so many entries: it has the state that others have had there (L5).
func (h *history) applied(m *master) {
	if m.applied%replicaEvery != 0 {
		return
	}
	var t trace
	t.mix(h.w.snapshot(m.state.View()))
	if sum, is := h.replicas[m.applied]; !is {
		h.replicas[m.applied] = t.sum
	} else if sum != t.sum {
		h.w.violate("L5", "%s has another state after %d entries than the others", m.id, m.applied)
	}
}

// agree compares all replicas in every byte, once they have applied the same entries (L5).
func (h *history) agree() {
	w := h.w
	var first []byte
	for _, m := range w.masters {
		if !m.alive {
			continue
		}
		m.catchUp()
		b := w.snapshot(m.state.View())
		if first == nil {
			first = b
		} else if !bytes.Equal(first, b) {
			w.violate("L5", "%s differs from the others", m.id)
		}
	}
}
