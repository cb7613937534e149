package sim

import (
	"fmt"

	"github.com/meros-project/meros/internal/frameworkcore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
)

// Two clusters that were introduced to each other by mistake: nodes of another one that call here, and a master of another one that answers
// ours. Nothing of one gets into the other (L9).

// foreign is the cluster id of the others.
const foreign = offer.ClusterID("another-cluster")

// introduce lets a slave of ours reach a master of another cluster. A framework that does is over by design, and is not tried; that nodes of
// another cluster call here is forge's.
func (w *World) introduce(d *dice) {
	if s := w.someSlave(d); s.alive && s.conn != nil && s.core.Cluster() != "" {
		s.step(slavecore.FromMaster{Conn: s.connNo, Envelope: message.Envelope{Cluster: foreign, Reign: s.reign + 5, Message: w.farewell(d)}})
	}
}

// farewell is something that would do harm to what a slave runs.
func (w *World) farewell(d *dice) message.Message {
	var running []*record
	for _, r := range w.history.order {
		if r.running {
			running = append(running, r)
		}
	}
	if len(running) == 0 {
		return &message.SlaveRefused{Reason: offer.ReasonSlaveGone, Shutdown: true}
	}
	r := running[d.IntN(len(running))]
	switch d.IntN(3) {
	case 0:
		return &message.FrameworkShutdown{Framework: r.framework}
	case 1:
		return &message.Kill{Framework: r.framework, Task: r.id()}
	}
	return &message.SlaveRefused{Reason: offer.ReasonSlaveGone, Shutdown: true}
}

// strange sees what a leader tells a node of another cluster: that it is wrong here, and nothing that only a member hears.
func (h *history) strange(r *reign, l *link, m message.Message) {
	x, is := l.client.(*hostile)
	if !is || x.cluster == "" || x.cluster == r.cluster {
		return
	}
	switch m.(type) {
	case *message.Leader, *message.Error, *message.SlaveRefused:
	default:
		h.w.violate("L9", "%s sends %T to a node of cluster %s", r.m.id, m, x.cluster)
	}
}

// foreignSlave sees what a slave does after a word from a master of another cluster: it leaves.
func (h *history) foreignSlave(s *slave, ev slavecore.Event, out []slavecore.Effect) {
	m, is := ev.(slavecore.FromMaster)
	if !is || m.Envelope.Cluster != foreign {
		return
	}
	h.w.states.reach(StateForeign)
	for _, e := range out {
		switch e.(type) {
		case slavecore.Note, slavecore.Reconnect:
		default:
			h.w.violate("L9", "%s does %s for a master of cluster %s", s.id, fmt.Sprintf("%T", e), m.Envelope.Cluster)
		}
	}
}

// heeded sees what a session does after a word from a master of another cluster, or of a reign that has been succeeded (L1):
// nothing of it gets to the program.
func (h *history) heeded(f *framework, ev frameworkcore.Event, reign uint64, out []frameworkcore.Effect) {
	m, is := ev.(frameworkcore.FromMaster)
	if !is {
		return
	}
	old := m.Envelope.Reign != 0 && m.Envelope.Reign < reign
	if m.Envelope.Cluster != foreign && !old {
		return
	}
	for _, e := range out {
		if d, is := e.(frameworkcore.Deliver); is {
			if _, last := d.Message.(*message.Error); last {
				continue
			}
			if old {
				h.w.violate("L1", "%s, which has heard of reign %d, takes %T from reign %d", f.id, reign, d.Message, m.Envelope.Reign)
			} else {
				h.w.violate("L9", "%s takes %T from a master of cluster %s", f.id, d.Message, m.Envelope.Cluster)
			}
		}
	}
}
