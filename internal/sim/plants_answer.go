package sim

import (
	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// Bugs of what the master tells frameworks of their tasks.
var answerPlants = []func() *Plant{wrongFramework, ownUUID, secondEnd, acksItself, acksHalf, buries, neverAnswers, answersNothing, acksLost}

// wrongFramework sends every tenth update to another framework.
func wrongFramework() *Plant {
	n := 0
	sessions := map[string][]mastercore.ConnID{}
	p := masterSays("wrong-framework", "T6", func(node string, s mastercore.Send) []mastercore.Send {
		if m, ok := s.Message.(*message.Update); ok && !m.Status.UUID.IsZero() {
			if n++; n%10 == 0 {
				for _, other := range sessions[node] {
					if other != s.Conn {
						s.Conn = other
					}
				}
			}
		}
		return []mastercore.Send{s}
	})
	p.MasterEvent = func(node string, ev mastercore.Event) (mastercore.Event, bool) {
		if r, ok := ev.(mastercore.Received); ok && r.Message.Kind() == message.KindSubscribe {
			sessions[node] = append(sessions[node], r.Conn)
		}
		return ev, true
	}
	p.Master = func(*mastercore.Config) { clear(sessions) }
	return p
}

// ownUUID gives the updates that it passes on identities of its own.
func ownUUID() *Plant {
	var ids counter
	return masterSays("own-uuid", "T1", func(_ string, s mastercore.Send) []mastercore.Send {
		if m, ok := s.Message.(*message.Update); ok && !m.Status.UUID.IsZero() {
			st := *m.Status
			st.UUID = ids.next()
			s.Message = &message.Update{Status: &st}
		}
		return []mastercore.Send{s}
	})
}

// secondEnd says of a task that has ended that it is lost too.
func secondEnd() *Plant {
	var ids counter
	return masterSays("second-end", "T2", func(_ string, s mastercore.Send) []mastercore.Send {
		if m, ok := s.Message.(*message.Update); ok && !m.Status.UUID.IsZero() && m.Status.State.Terminal() {
			st := *m.Status
			st.UUID, st.State, st.Reason = ids.next(), offer.Lost, offer.ReasonSlaveRemoved
			return []mastercore.Send{s, {Conn: s.Conn, Message: &message.Update{Status: &st}}}
		}
		return []mastercore.Send{s}
	})
}

// acksItself acknowledges updates when it passes them on.
func acksItself() *Plant { return acknowledges("acks-itself", func(offer.State) bool { return true }) }

// acksHalf acknowledges those updates itself that are not the end of a task.
func acksHalf() *Plant {
	return acknowledges("acks-half", func(s offer.State) bool { return !s.Terminal() })
}

func acknowledges(name string, some func(offer.State) bool) *Plant {
	var from mastercore.ConnID
	var framework offer.FrameworkID
	p := masterSays(name, "T1", func(_ string, s mastercore.Send) []mastercore.Send {
		m, ok := s.Message.(*message.Update)
		if !ok || m.Status.UUID.IsZero() || from == 0 || !some(m.Status.State) {
			return []mastercore.Send{s}
		}
		ack := &message.StatusAck{Framework: framework, Task: m.Status.TaskID, UUID: m.Status.UUID}
		return []mastercore.Send{s, {Conn: from, Message: ack}}
	})
	p.MasterEvent = func(_ string, ev mastercore.Event) (mastercore.Event, bool) {
		from = 0
		if r, ok := ev.(mastercore.Received); ok {
			if m, ok := r.Message.(*message.StatusUpdate); ok {
				from, framework = r.Conn, m.Framework
			}
		}
		return ev, true
	}
	return p
}

// buries answers for what it does not know that it was never started, although its slave may not be back yet.
func buries() *Plant {
	var asked []message.TaskRef
	var by mastercore.ConnID
	p := &Plant{Name: "buries", Rules: "T8"}
	p.MasterEvent = func(_ string, ev mastercore.Event) (mastercore.Event, bool) {
		asked = nil
		if r, ok := ev.(mastercore.Received); ok {
			if m, ok := r.Message.(*message.Reconcile); ok {
				asked, by = m.Tasks, r.Conn
			}
		}
		return ev, true
	}
	p.MasterEffects = func(_ string, out []mastercore.Effect) []mastercore.Effect {
		answered := map[offer.TaskID]bool{}
		for _, e := range out {
			if s, ok := e.(mastercore.Send); ok {
				if m, ok := s.Message.(*message.Update); ok {
					answered[m.Status.TaskID] = true
				}
			}
		}
		for _, ref := range asked {
			if !answered[ref.Task] {
				st := offer.Status{TaskID: ref.Task, SlaveID: ref.Slave, State: offer.Dropped, Source: offer.SourceMaster, Reason: offer.ReasonReconciliation}
				out = append(out, mastercore.Send{Conn: by, Message: &message.Update{Status: &st}})
			}
		}
		return out
	}
	return p
}

// neverAnswers does not hear what it is asked about tasks.
func neverAnswers() *Plant { return masterDeaf("never-answers", "T8", message.KindReconcile) }

// answersNothing takes the list of tasks that it is asked about for an empty one.
func answersNothing() *Plant {
	return masterSays("answers-nothing", "T8", func(_ string, s mastercore.Send) []mastercore.Send {
		if m, ok := s.Message.(*message.Update); ok && m.Status.Reason == offer.ReasonReconciliation && !m.Status.State.Terminal() {
			return nil
		}
		return []mastercore.Send{s}
	})
}

// acksLost does not pass acknowledgements on.
func acksLost() *Plant { return masterMute("acks-lost", "T1", message.KindStatusAck) }
