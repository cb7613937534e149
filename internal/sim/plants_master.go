package sim

import (
	"slices"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
)

// Bugs of the master that concern who may do what, and what it passes on.
var masterPlants = []func() *Plant{alwaysFinal, neverRescinds, neverSuppresses, neverRevives, killLost, endLost, launchLost,
	halfHeard, anybody, looseOffers, sameSlave, sameFramework, unreachableUnsaid, executorsStay, drainLost, resurrects, rounds, backIsGone, reignless}

// alwaysFinal ends a session for good with each error.
func alwaysFinal() *Plant {
	return masterSays("always-final", "F1", func(_ string, s mastercore.Send) []mastercore.Send {
		if e, ok := s.Message.(*message.Error); ok {
			final := *e
			final.Final = true
			s.Message = &final
		}
		return []mastercore.Send{s}
	})
}

// neverRescinds takes offers back without a word.
func neverRescinds() *Plant { return masterMute("never-rescinds", "R2", message.KindRescind) }

// neverSuppresses offers to those who want none.
func neverSuppresses() *Plant { return masterDeaf("never-suppresses", "R9", message.KindSuppress) }

// neverRevives does not hear that offers are wanted again.
func neverRevives() *Plant { return masterDeaf("never-revives", "T1 R10", message.KindRevive) }

// killLost does not pass kills on.
func killLost() *Plant { return masterMute("kill-lost", "T7", message.KindKill) }

// endLost does not tell slaves that a framework is over.
func endLost() *Plant { return masterMute("end-lost", "F5", message.KindFrameworkShutdown) }

// drainLost does not tell slaves that they are to drain.
func drainLost() *Plant { return masterMute("drain-lost", "T7", message.KindDrain) }

// launchLost does not send every tenth launch.
func launchLost() *Plant {
	n := 0
	return masterSays("launch-lost", "T1", func(_ string, s mastercore.Send) []mastercore.Send {
		if s.Message.Kind() == message.KindLaunch {
			if n++; n%10 == 0 {
				return nil
			}
		}
		return []mastercore.Send{s}
	})
}

// halfHeard reads half of the tasks that a slave brings along.
func halfHeard() *Plant {
	return masterHears("half-heard", "R1 T6 T8", func(_ string, r *mastercore.Received) bool {
		if m, ok := r.Message.(*message.SlaveReregister); ok && len(m.Tasks) > 1 {
			half := *m
			half.Tasks = m.Tasks[:len(m.Tasks)/2]
			r.Message = &half
		}
		return true
	})
}

// executorsStay does not hear that executors have ended.
func executorsStay() *Plant { return masterDeaf("executors-stay", "R4 T6", message.KindExecutorExited) }

// anybody does not look at who somebody is that comes under a framework's id.
func anybody() *Plant {
	owners := map[offer.FrameworkID]string{}
	return masterHears("anybody", "F4", func(_ string, r *mastercore.Received) bool {
		m, ok := r.Message.(*message.Subscribe)
		if !ok || m.Framework.ID == "" {
			return true
		}
		if owners[m.Framework.ID] == "" && r.Principal == m.Framework.Principal && r.Principal != "bad" {
			owners[m.Framework.ID] = r.Principal
		}
		if p := owners[m.Framework.ID]; p != "" {
			as := *m
			as.Framework.Principal = p
			r.Principal, r.Message = p, &as
		}
		return true
	})
}

// looseOffers takes an accept of an offer that is gone for one of another offer of that slave to that framework.
func looseOffers() *Plant {
	slaves := map[offer.OfferID]offer.SlaveID{}
	open := map[mastercore.ConnID][]offer.OfferID{}
	p := masterSays("loose-offers", "R3", func(_ string, s mastercore.Send) []mastercore.Send {
		switch m := s.Message.(type) {
		case *message.Offers:
			for i := range m.Offers {
				slaves[m.Offers[i].ID] = m.Offers[i].SlaveID
				open[s.Conn] = append(open[s.Conn], m.Offers[i].ID)
			}
		case *message.Rescind:
			open[s.Conn] = slices.DeleteFunc(open[s.Conn], func(id offer.OfferID) bool { return slices.Contains(m.Offers, id) })
		}
		return []mastercore.Send{s}
	})
	p.Master = func(*mastercore.Config) { clear(open) }
	p.MasterEvent = func(_ string, ev mastercore.Event) (mastercore.Event, bool) {
		r, ok := ev.(mastercore.Received)
		if !ok {
			return ev, true
		}
		used := func(ids []offer.OfferID) {
			open[r.Conn] = slices.DeleteFunc(open[r.Conn], func(id offer.OfferID) bool { return slices.Contains(ids, id) })
		}
		switch m := r.Message.(type) {
		case *message.Decline:
			used(m.Offers)
		case *message.Accept:
			if len(m.Offers) == 1 && !slices.Contains(open[r.Conn], m.Offers[0]) {
				for _, id := range open[r.Conn] {
					if slaves[id] == slaves[m.Offers[0]] {
						other := *m
						other.Offers = []offer.OfferID{id}
						r.Message, m = &other, &other
						break
					}
				}
			}
			used(m.Offers)
		}
		return r, true
	}
	return p
}

// sameSlave gives every second new slave the id of the one before.
func sameSlave() *Plant {
	n, last := 0, offer.SlaveID("")
	asked := map[mastercore.ConnID]bool{}
	p := masterSays("same-slave", "S4", func(_ string, s mastercore.Send) []mastercore.Send {
		if m, ok := s.Message.(*message.SlaveRegistered); ok && asked[s.Conn] {
			delete(asked, s.Conn)
			if n++; n%2 == 0 {
				s.Message = &message.SlaveRegistered{ID: last, Reconcile: m.Reconcile}
			}
			last = m.ID
		}
		return []mastercore.Send{s}
	})
	p.MasterEvent = func(_ string, ev mastercore.Event) (mastercore.Event, bool) {
		if r, ok := ev.(mastercore.Received); ok {
			if _, first := r.Message.(*message.SlaveRegister); first {
				asked[r.Conn] = true
			}
		}
		return ev, true
	}
	return p
}

// sameFramework gives every second new framework the id of the one before.
func sameFramework() *Plant {
	n, last := 0, offer.FrameworkID("")
	asked := map[mastercore.ConnID]bool{}
	p := masterSays("same-framework", "S4 F4", func(_ string, s mastercore.Send) []mastercore.Send {
		if m, ok := s.Message.(*message.Subscribed); ok && asked[s.Conn] {
			delete(asked, s.Conn)
			if n++; n%2 == 0 {
				s.Message = &message.Subscribed{ID: last, Heartbeat: m.Heartbeat}
			}
			last = m.ID
		}
		return []mastercore.Send{s}
	})
	p.MasterEvent = func(_ string, ev mastercore.Event) (mastercore.Event, bool) {
		if r, ok := ev.(mastercore.Received); ok {
			if m, first := r.Message.(*message.Subscribe); first && m.Framework.ID == "" {
				asked[r.Conn] = true
			}
		}
		return ev, true
	}
	return p
}

// unreachableUnsaid does not tell the owners of tasks that their slave is out of reach.
func unreachableUnsaid() *Plant {
	return masterSays("unreachable-unsaid", "T1", func(_ string, s mastercore.Send) []mastercore.Send {
		if m, ok := s.Message.(*message.Update); ok && m.Status.Reason == offer.ReasonSlaveRemoved {
			return nil
		}
		return []mastercore.Send{s}
	})
}

// resurrects takes a slave that is gone in again, because its new entry is of another kind.
func resurrects() *Plant {
	return applies("resurrects", "S5 L4 L5", func(_ string, c *registry.Command) bool {
		if m, ok := c.Op.(*registry.MarkGone); ok {
			c.Op = &registry.MarkUnreachable{ID: m.ID, At: m.At}
		}
		return true
	})
}

// rounds keeps amounts in sixteenths, as a small floating-point number would.
func rounds() *Plant {
	return masterSays("rounds", "R5", func(_ string, s mastercore.Send) []mastercore.Send {
		if m, ok := s.Message.(*message.Launch); ok {
			less := *m
			less.Tasks = slices.Clone(m.Tasks)
			for i := range less.Tasks {
				rs := slices.Clone(less.Tasks[i].Resources)
				for j := range rs {
					rs[j].Scalar -= rs[j].Scalar % 64
				}
				less.Tasks[i].Resources = rs
			}
			s.Message = &less
		}
		return []mastercore.Send{s}
	})
}

// backIsGone turns slaves away for good that were out of reach and are back.
func backIsGone() *Plant {
	unreachable := map[offer.SlaveID]bool{}
	back := map[mastercore.ConnID]bool{}
	p := &Plant{Name: "back-is-gone", Rules: "S5"}
	p.MasterEvent = func(_ string, ev mastercore.Event) (mastercore.Event, bool) {
		if r, ok := ev.(mastercore.Received); ok {
			if m, ok := r.Message.(*message.SlaveReregister); ok && m.Part == 0 {
				back[r.Conn] = unreachable[m.Slave.ID]
			}
		}
		return ev, true
	}
	p.MasterEffects = func(_ string, out []mastercore.Effect) []mastercore.Effect {
		for i, e := range out {
			switch e := e.(type) {
			case mastercore.Propose:
				for _, c := range e.Commands {
					if m, ok := c.Op.(*registry.MarkUnreachable); ok {
						unreachable[m.ID] = true
					}
				}
			case mastercore.Send:
				if e.Message.Kind() == message.KindSlaveRegistered && back[e.Conn] {
					e.Message = &message.SlaveRefused{Reason: offer.ReasonSlaveDisconnected, Shutdown: true}
					out[i] = e
				}
			}
		}
		return out
	}
	return p
}

// reignless masters and slaves take no notice of reigns.
func reignless() *Plant {
	highest := map[string]uint64{}
	p := fromMaster("reignless", "L1", func(node string, e *message.Envelope) bool {
		if e.Reign != 0 {
			highest[node] = max(highest[node], e.Reign)
			e.Reign = highest[node]
		}
		return true
	})
	p.Reignless = true
	return p
}
