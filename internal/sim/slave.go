package sim

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A slave is a machine: a process with a core, a disk with a journal, and a runtime whose containers outlive the process.
type slave struct {
	node
	number    int
	address   string
	boots     int // of the machine, counts them
	sid       offer.SlaveID
	past      []offer.SlaveID // identities that the machine has lost
	core      *slavecore.Core
	disk      disk
	runtime   runtime
	reign     uint64                   // highest on disk
	asked     map[uint64]time.Duration // when each Renew of this life was sent, by boot; looked up
	conn      *link
	connNo    uint64
	dialing   bool
	tickAt    int64
	busy      bool
	queue     []slavecore.Event
	unseen    int
	begun     int64              // when its process began
	emptied   bool               // somebody has told it to end what it runs
	resources resource.Resources // that the machine has
	grown     int                // how often it got more of them
	shrunk    bool               // the process is told that there are less
	moves     int                // to other addresses
	barren    bool               // can start no process
	back      time.Duration      // after which the process that is asked to stop comes back; zero: it was not asked
}

func (s *slave) name() string { return s.id }
func (s *slave) self() *node  { return &s.node }

func (w *World) uuid() (u offer.UUID) {
	binary.BigEndian.PutUint64(u[:8], w.random.Uint64())
	binary.BigEndian.PutUint64(u[8:], w.random.Uint64())
	return u
}

func (s *slave) restart() {
	if !s.alive {
		s.begin()
	}
}

// begin starts the process on what the disk holds.
func (s *slave) begin() {
	w := s.w
	if s.disk.rotten {
		w.note(s.id, "refuses to start: its journal is damaged")
		w.states.reach(StateRotRefused)
		return
	}
	s.life++
	s.alive, s.begun = true, w.ns
	s.asked = map[uint64]time.Duration{}
	s.runtime.endOrphans(s)
	core, err := s.newCore()
	if s.triesLess(err) {
		return
	}
	if err != nil {
		w.violate("S7", "%s does not start on its journal: %v", s.id, err)
		return
	}
	w.note(s.id, "begins life %d with %d records", s.life, len(s.disk.records))
	s.core = core
	s.tickAt = 0
	s.arm()
	s.connect()
	s.runtime.reconnect(s)
}

// crash ends the process; containers go on.
func (s *slave) crash() {
	if !s.alive {
		return
	}
	w := s.w
	kept, of := s.disk.lose(s)
	w.note(s.id, "crashes, %d of %d unflushed records survive", kept, of)
	s.core, s.queue, s.busy, s.back = nil, nil, false, 0
	s.died()
	s.dialing = false
	s.runtime.slaveDied()
	if s.conn != nil {
		s.conn.sever(time.Second)
		s.conn = nil
	}
	w.counts.SlaveCrashes++
}

// reboot ends everything that runs on the machine.
func (s *slave) reboot() {
	s.crash()
	s.boots++
	s.w.note(s.id, "reboots")
	s.runtime.powerOff(s)
	s.w.states.reach(StateReboot)
}

// wipe makes another machine of it: nothing is left of the old one but its name.
func (s *slave) wipe() {
	s.reboot()
	s.w.note(s.id, "is another machine now")
	if s.sid != "" {
		s.past = append(s.past, s.sid)
	}
	for _, r := range s.w.history.order {
		r.dead = r.dead || r.slave == s
	}
	s.sid, s.reign, s.emptied = "", 0, false
	s.disk = disk{}
	s.runtime = newRuntime()
	s.resources, s.grown, s.shrunk = s.w.cfg.Resources, 0, false
}

// connect looks for the leader, until it has a connection.
func (s *slave) connect() {
	if s.dialing || s.conn != nil || !s.alive {
		return
	}
	s.dialing = true
	life := s.life
	s.w.after(s.patience(), func() {
		if s.life != life {
			return
		}
		s.w.dial(s, s.w.detect(), func(l *link) {
			if s.life != life {
				if l != nil {
					l.sever(time.Millisecond)
				}
				return
			}
			s.dialing = false
			if l == nil {
				s.connect()
				return
			}
			s.conn = l
			s.connNo++
			s.step(slavecore.Connected{Conn: s.connNo})
		})
	})
}

func (s *slave) receive(l *link, e message.Envelope) {
	if s.conn != l || !s.alive {
		return
	}
	s.heardOf(e)
	s.w.history.ordered(s, &e)
	s.step(slavecore.FromMaster{Conn: s.connNo, Envelope: e})
}

func (s *slave) closed(l *link) {
	if s.conn == l && s.alive {
		s.conn = nil
		s.step(slavecore.Disconnected{Conn: s.connNo})
		s.connect()
	}
}

func (s *slave) step(ev slavecore.Event) {
	if !s.alive || s.core == nil {
		return
	}
	life := s.life
	if s.paused {
		s.later(func() {
			if s.life == life {
				s.step(ev)
			}
		})
		return
	}
	if s.queued(func() { s.step(ev) }) {
		return
	}
	s.queue = append(s.queue, ev)
	if s.busy {
		return
	}
	s.busy = true
	w := s.w
	for len(s.queue) > 0 {
		ev, s.queue = s.queue[0], s.queue[1:]
		reign := s.reign
		if done, is := ev.(slavecore.Checkpointed); is {
			s.disk.heard = max(s.disk.heard, done.Token)
		}
		out := s.advance(ev)
		w.history.obeyed(s, ev, reign, out)
		w.history.foreignSlave(s, ev, out)
		w.history.diagnoses(s, out)
		for _, e := range out {
			if w.diesHere() {
				s.crash()
				w.after(w.between(100*time.Millisecond, 30*time.Second), s.restart)
			}
			if s.life != life {
				return
			}
			s.perform(e)
		}
		if s.life != life {
			return
		}
		s.check(ev)
	}
	s.busy = false
	s.disk.compact(s)
	s.arm()
}

func (s *slave) perform(e slavecore.Effect) {
	w, life := s.w, s.life
	switch e := e.(type) {
	case slavecore.Send:
		w.history.reported(s, e.Message)
		s.asks(e.Message)
		if s.conn != nil && e.Conn == s.connNo {
			s.conn.toMaster(message.Envelope{Cluster: s.core.Cluster(), Reign: s.core.Reign(), Message: e.Message})
		}
	case slavecore.Reconnect:
		w.note(s.id, "reconnects: %v", e.Refusal)
		if s.conn != nil {
			s.conn.sever(time.Millisecond)
			s.conn = nil
		}
		s.connect()
	case slavecore.Checkpoint:
		s.disk.write(s, e)
	case slavecore.Start:
		s.runtime.start(s, life, e)
	case slavecore.Adopt:
		s.runtime.adopt(s, life, e.Container)
	case slavecore.Kill:
		w.history.signalled(s, s.runtime.containers[e.Container])
		s.runtime.kill(s, e)
	case slavecore.Renew:
		s.runtime.renew(s, e)
	case slavecore.Forget:
		s.runtime.forget(e.Container)
	case slavecore.SendExecutor:
		s.runtime.tell(s, e)
	case slavecore.CloseExecutor:
		s.runtime.hangUp(s, e.Conn)
	case slavecore.Probe:
		s.runtime.probe(s, life, e)
	case slavecore.EndProbe:
	case slavecore.Resize:
	case slavecore.MakeVolumes:
		s.runtime.makeVolumes(s, e)
	case slavecore.Stop:
		s.stopped(e.Refusal)
	case slavecore.Note:
		w.note(s.id, "%s framework=%s task=%s %s %s", e.Event, e.Framework, e.Task, e.Reason, e.Text)
	default:
		w.violate("sim", "effect %s is not known", fmt.Sprintf("%T", e))
	}
}

// stopped is the end of the process by its own will. Who was turned away for good, or has left, comes back as another machine.
func (s *slave) stopped(why *offer.Refusal) {
	w := s.w
	w.note(s.id, "stops: %v", why)
	w.after(0, func() {
		if why != nil && why.Reason == offer.ReasonDiskFailed {
			w.states.reach(StateDiskFailed)
			s.crash()
			w.after(w.between(time.Second, 20*time.Second), s.restart)
			return
		}
		if back := s.back; back > 0 && why == nil {
			w.states.reach(StateStopped)
			s.disk.drain(s)
			s.crash()
			w.after(back, s.restart)
			return
		}
		if why != nil && why.Reason != offer.ReasonSlaveGone { // S5: who is not gone may come back
			w.violate("S5", "%s, which is not gone, is turned away for good: %v", s.id, why)
		}
		for _, c := range s.runtime.all {
			if c.running {
				w.violate("T11", "%s has stopped for good (%v) and container %s still runs", s.id, why, c.id)
			}
		}
		w.states.reach(StateRetired)
		s.wipe()
		w.after(w.between(time.Second, 20*time.Second), s.restart)
	})
}

func (s *slave) arm() {
	if s.core == nil {
		return
	}
	at := s.core.Deadline()
	if at.IsZero() {
		return
	}
	due := max(s.when(at), s.w.ns)
	if s.tickAt != 0 && due >= s.tickAt {
		return
	}
	s.tickAt = due
	life := s.life
	s.w.atNS(due, func() {
		if s.life == life && s.tickAt == due {
			s.tickAt = 0
			s.step(slavecore.Tick{})
		}
	})
}

// leave asks the process to stop in good order and for good.
func (s *slave) leave() {
	if s.alive {
		s.w.note(s.id, "is asked to leave")
		s.emptied = true
		s.step(slavecore.StopAsked{Leave: true})
	}
}
