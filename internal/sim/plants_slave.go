package sim

import (
	"slices"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// Bugs of the slave, but for those of its disk.
var slavePlants = []func() *Plant{allIsWell, deafToKill, deafToAcks, neverAgain, gloomy, startsAgain, leaseOfAnyWord, leaseUnsaid, executorUnseen, twoInFlight, newestFirst,
	freshUUID, deafToShutdown, partOfAGroup, volumesUnmade, volumesTidied, halfNamed, endsEarly, samePort, overtakes}

// allIsWell takes every end for a good one.
func allIsWell() *Plant {
	return &Plant{Name: "all-is-well", Rules: "T9", SlaveEvent: func(_ string, ev slavecore.Event) (slavecore.Event, bool) {
		if x, ok := ev.(slavecore.Exited); ok {
			x.Exit = offer.Exit{}
			return x, true
		}
		return ev, true
	}}
}

// deafToKill kills nothing.
func deafToKill() *Plant { return slaveDeaf("deaf-to-kill", "T7", message.KindKill) }

// deafToAcks hears no acknowledgement.
func deafToAcks() *Plant { return slaveDeaf("deaf-to-acks", "T1", message.KindStatusAck) }

// deafToShutdown does not hear that a framework is over.
func deafToShutdown() *Plant {
	return slaveDeaf("deaf-to-shutdown", "F5", message.KindFrameworkShutdown)
}

// neverAgain sends each update once.
func neverAgain() *Plant {
	sent := map[offer.UUID]bool{}
	return slaveSays("never-again", "T1", func(_ string, m message.Message) message.Message {
		u, ok := update(m)
		if !ok {
			return m
		}
		if sent[u.Status.UUID] {
			return nil
		}
		sent[u.Status.UUID] = true
		return m
	})
}

// gloomy says of each task that runs that it has failed.
func gloomy() *Plant {
	return slaveSays("gloomy", "T1 T2 R1 R11", func(_ string, m message.Message) message.Message {
		if u, ok := update(m); ok && u.Status.State == offer.Running {
			u.Status.State, u.Latest = offer.Failed, offer.Failed
			return u
		}
		return m
	})
}

// endsEarly says that a task has been killed as soon as its kill has begun, so that what it holds is free before its time.
func endsEarly() *Plant {
	return slaveSays("ends-early", "R1 R11", func(_ string, m message.Message) message.Message {
		if u, ok := update(m); ok && u.Latest == offer.Killing {
			u.Latest = offer.Killed
			return u
		}
		return m
	})
}

// leaseOfAnyWord takes each answer, and every second question of its master whether it is there, for an answer to its newest question: leases
// then count from about when something was heard last.
func leaseOfAnyWord() *Plant {
	newest := map[string]uint64{}
	pings := 0
	p := fromMaster("lease-of-any-word", "T13", func(node string, e *message.Envelope) bool {
		switch e.Message.(type) {
		case *message.Renewed:
			e.Message = &message.Renewed{Seq: newest[node]}
		case *message.Ping:
			if pings++; pings%2 == 0 {
				e.Message = &message.Renewed{Seq: newest[node]}
			}
		}
		return true
	})
	p.SlaveEffects = func(node string, out []slavecore.Effect) []slavecore.Effect {
		for _, e := range out {
			if s, is := e.(slavecore.Send); is {
				if q, is := s.Message.(*message.Renew); is {
					newest[node] = q.Seq
				}
			}
		}
		return out
	}
	return p
}

// leaseUnsaid does not tell supervisors that their tasks have a lease.
func leaseUnsaid() *Plant {
	return &Plant{Name: "lease-unsaid", Rules: "T13", SlaveEffects: func(_ string, out []slavecore.Effect) []slavecore.Effect {
		for i, e := range out {
			if s, ok := e.(slavecore.Start); ok && s.Task != nil && s.Task.Lease > 0 {
				task := *s.Task
				task.Lease, s.Task = 0, &task
				out[i] = s
			}
		}
		return out
	}}
}

// startsAgain starts what it finds in its journal as if it were new.
func startsAgain() *Plant {
	return &Plant{Name: "starts-again", Rules: "T5", SlaveEffects: func(_ string, out []slavecore.Effect) []slavecore.Effect {
		for i, e := range out {
			if s, ok := e.(slavecore.Start); ok {
				s.Recovered = false
				out[i] = s
			}
		}
		return out
	}}
}

// executorUnseen does not notice that an executor has ended, and waits for it to come back.
func executorUnseen() *Plant {
	executors := map[string]bool{}
	p := &Plant{Name: "executor-unseen", Rules: "T1 R4"}
	p.SlaveEffects = func(_ string, out []slavecore.Effect) []slavecore.Effect {
		for _, e := range out {
			if s, ok := e.(slavecore.Start); ok && s.Task == nil {
				executors[s.Container] = true
			}
		}
		return out
	}
	p.SlaveEvent = func(_ string, ev slavecore.Event) (slavecore.Event, bool) {
		x, ok := ev.(slavecore.Exited)
		return ev, !ok || !executors[x.Container]
	}
	return p
}

// twoInFlight sends each update as soon as it is on disk, whether or not the one before is acknowledged.
func twoInFlight() *Plant {
	waits := map[string][]*slavecore.Updated{}
	conns := map[string]uint64{}
	flushed := map[string]bool{}
	p := &Plant{Name: "two-in-flight", Rules: "T4"}
	p.SlaveEvent = func(node string, ev slavecore.Event) (slavecore.Event, bool) {
		switch ev := ev.(type) {
		case slavecore.Connected:
			conns[node] = ev.Conn
		case slavecore.Checkpointed:
			flushed[node] = true
		}
		return ev, true
	}
	p.SlaveEffects = func(node string, out []slavecore.Effect) []slavecore.Effect {
		if flushed[node] {
			for _, u := range waits[node] {
				out = append(out, slavecore.Send{Conn: conns[node], Message: &message.StatusUpdate{Framework: u.Framework, Status: u.Status, Latest: u.Status.State}})
			}
			waits[node], flushed[node] = nil, false
		}
		for _, e := range out {
			if c, ok := e.(slavecore.Checkpoint); ok {
				for _, r := range c.Records {
					if u, ok := r.(*slavecore.Updated); ok {
						waits[node] = append(waits[node], u)
					}
				}
			}
		}
		return out
	}
	return p
}

// newestFirst sends the newest state of a task in place of the oldest that is not acknowledged.
func newestFirst() *Plant {
	newest := map[string]*offer.Status{}
	p := slaveSays("newest-first", "T4", func(_ string, m message.Message) message.Message {
		if u, ok := update(m); ok {
			if st := newest[keyOf(u.Framework, u.Status.TaskID)]; st != nil {
				u.Status = st
			}
			return u
		}
		return m
	})
	change := p.SlaveEffects
	p.SlaveEffects = func(node string, out []slavecore.Effect) []slavecore.Effect {
		out = change(node, out)
		for _, e := range out {
			if c, ok := e.(slavecore.Checkpoint); ok {
				for _, r := range c.Records {
					if u, ok := r.(*slavecore.Updated); ok {
						newest[keyOf(u.Framework, u.Status.TaskID)] = u.Status
					}
				}
			}
		}
		return out
	}
	return p
}

// freshUUID gives an update another identity each time it is sent.
func freshUUID() *Plant {
	var ids counter
	return slaveSays("fresh-uuid", "T1", func(_ string, m message.Message) message.Message {
		if u, ok := update(m); ok {
			u.Status.UUID = ids.next()
			return u
		}
		return m
	})
}

// partOfAGroup starts all tasks of a group but the last.
func partOfAGroup() *Plant {
	return fromMaster("part-of-a-group", "T1", func(_ string, e *message.Envelope) bool {
		if m, ok := e.Message.(*message.Launch); ok && m.Group && len(m.Tasks) > 1 {
			part := *m
			part.Tasks = m.Tasks[:len(m.Tasks)-1]
			e.Message = &part
		}
		return true
	})
}

// volumesUnmade does not make the directories of volumes.
func volumesUnmade() *Plant {
	return &Plant{Name: "volumes-unmade", Rules: "R11", SlaveEffects: func(_ string, out []slavecore.Effect) []slavecore.Effect {
		return slices.DeleteFunc(out, func(e slavecore.Effect) bool {
			v, ok := e.(slavecore.MakeVolumes)
			return ok && !v.Create.Empty()
		})
	}}
}

// volumesTidied removes the volumes of a task that has ended along with its sandbox.
func volumesTidied() *Plant {
	held := map[string]resource.Resources{}
	return &Plant{Name: "volumes-tidied", Rules: "R11", SlaveEffects: func(_ string, out []slavecore.Effect) []slavecore.Effect {
		for _, e := range slices.Clone(out) {
			c, ok := e.(slavecore.Checkpoint)
			if !ok {
				continue
			}
			for _, r := range c.Records {
				switch r := r.(type) {
				case *slavecore.Launched:
					held[keyOf(r.Framework.ID, r.Task.ID)] = r.Task.Resources.Volumes()
				case *slavecore.Updated:
					if v := held[keyOf(r.Framework, r.Status.TaskID)]; r.Status.State.Terminal() && !v.Empty() {
						out = append(out, slavecore.MakeVolumes{Destroy: v})
					}
				}
			}
		}
		return out
	}}
}

// halfNamed names half of its tasks to a master.
func halfNamed() *Plant {
	return slaveSays("half-named", "S7", func(_ string, m message.Message) message.Message {
		if r, ok := m.(*message.SlaveReregister); ok && len(r.Tasks) > 1 {
			half := *r
			half.Tasks = r.Tasks[:len(r.Tasks)/2]
			return &half
		}
		return m
	})
}

// samePort gives each task that asks for a port the first one that the slave has.
func samePort() *Plant {
	return fromMaster("same-port", "R6", func(_ string, e *message.Envelope) bool {
		m, ok := e.Message.(*message.Launch)
		if !ok {
			return true
		}
		same := *m
		same.Tasks = slices.Clone(m.Tasks)
		for i := range same.Tasks {
			rs := slices.Clone(same.Tasks[i].Resources)
			for j := range rs {
				if len(rs[j].Ranges) > 0 {
					rs[j].Ranges = resource.Ranges{{Begin: 31000, End: 31000}}
				}
			}
			same.Tasks[i].Resources = rs
		}
		e.Message = &same
		return true
	})
}

// overtakes sends a later update of a task while the ones before it, and its own record, are on their way.
func overtakes() *Plant {
	conns := map[string]uint64{}
	seen := map[string]bool{}
	return &Plant{Name: "overtakes", Rules: "T3",
		SlaveEvent: func(node string, ev slavecore.Event) (slavecore.Event, bool) {
			if c, ok := ev.(slavecore.Connected); ok {
				conns[node] = c.Conn
			}
			return ev, true
		},
		SlaveEffects: func(node string, out []slavecore.Effect) []slavecore.Effect {
			for _, e := range slices.Clone(out) {
				c, ok := e.(slavecore.Checkpoint)
				if !ok {
					continue
				}
				for _, r := range c.Records {
					u, ok := r.(*slavecore.Updated)
					if !ok {
						continue
					}
					key := keyOf(u.Framework, u.Status.TaskID)
					if seen[key] && !u.Status.State.Terminal() {
						out = append(out, slavecore.Send{Conn: conns[node], Message: &message.StatusUpdate{Framework: u.Framework, Status: u.Status, Latest: u.Status.State}})
					}
					seen[key] = true
				}
			}
			return out
		}}
}
