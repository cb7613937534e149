package sim

import (
	"github.com/meros-project/meros/internal/frameworkcore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// Bugs of the session of a framework.
var frameworkPlants = []func() *Plant{takesAll, acksOnReceipt, neverAcks, amnesia, revivesNothing, firstOnly, wrongAck}

// takesAll acknowledges what the program has refused to take over.
func takesAll() *Plant {
	return &Plant{Name: "takes-all", Rules: "T1", FrameworkEvent: func(_ string, ev frameworkcore.Event) (frameworkcore.Event, bool) {
		if h, ok := ev.(frameworkcore.Handled); ok {
			h.Ok = true
			return h, true
		}
		return ev, true
	}}
}

// acksOnReceipt acknowledges an update before the program has seen it.
func acksOnReceipt() *Plant {
	conns := map[string]uint64{}
	return &Plant{Name: "acks-on-receipt", Rules: "T1",
		FrameworkEvent: func(node string, ev frameworkcore.Event) (frameworkcore.Event, bool) {
			if c, ok := ev.(frameworkcore.Connected); ok {
				conns[node] = c.Conn
			}
			return ev, true
		},
		FrameworkEffects: func(node string, out []frameworkcore.Effect) []frameworkcore.Effect {
			var acks []frameworkcore.Effect
			for _, e := range out {
				if d, ok := e.(frameworkcore.Deliver); ok {
					if m, ok := d.Message.(*message.Update); ok && !m.Status.UUID.IsZero() {
						ack := &message.Acknowledge{Slave: m.Status.SlaveID, Task: m.Status.TaskID, UUID: m.Status.UUID}
						acks = append(acks, frameworkcore.Send{Conn: conns[node], Message: ack})
					}
				}
			}
			return append(out, acks...)
		}}
}

// neverAcks acknowledges nothing.
func neverAcks() *Plant {
	return sessionSays("never-acks", "T1", func(_ string, m message.Message) message.Message {
		if m.Kind() == message.KindAcknowledge {
			return nil
		}
		return m
	})
}

// wrongAck acknowledges the update before the one that it has got.
func wrongAck() *Plant {
	last := map[string]offer.UUID{}
	return sessionSays("wrong-ack", "T1", func(node string, m message.Message) message.Message {
		a, ok := m.(*message.Acknowledge)
		if !ok {
			return m
		}
		before := last[node]
		last[node] = a.UUID
		if before.IsZero() {
			return m
		}
		return &message.Acknowledge{Slave: a.Slave, Task: a.Task, UUID: before}
	})
}

// amnesia begins each life without its id.
func amnesia() *Plant {
	return &Plant{Name: "amnesia", Rules: "F1 S4", Framework: func(c *frameworkcore.Config) { c.Framework.ID = "" }}
}

// revivesNothing does not pass on that offers are wanted again.
func revivesNothing() *Plant {
	return sessionSays("revives-nothing", "T1 R10", func(_ string, m message.Message) message.Message {
		if m.Kind() == message.KindRevive {
			return nil
		}
		return m
	})
}

// firstOnly takes a second update of a task for the first one, come again.
func firstOnly() *Plant {
	first := map[string]offer.UUID{}
	return &Plant{Name: "first-only", Rules: "T1", FrameworkEvent: func(node string, ev frameworkcore.Event) (frameworkcore.Event, bool) {
		m, ok := ev.(frameworkcore.FromMaster)
		if !ok {
			return ev, true
		}
		u, ok := m.Envelope.Message.(*message.Update)
		if !ok || u.Status.UUID.IsZero() {
			return ev, true
		}
		key := node + "/" + string(u.Status.TaskID)
		if first[key].IsZero() {
			first[key] = u.Status.UUID
		}
		return ev, first[key] == u.Status.UUID
	}}
}
