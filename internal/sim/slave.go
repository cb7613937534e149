package sim

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
)

// A slave is a machine: a process with a core, a disk with a journal, and a runtime whose containers outlive the process.
type slave struct {
	w       *World
	number  int
	id      string
	alive   bool
	cutOff  bool
	life    int // of the process, counts restarts
	core    *slavecore.Core
	disk    []slavecore.Record // flushed
	cache   []slavecore.Record // written, not flushed
	writeAt time.Time          // when the flush under way ends
	runtime runtime
	reign   uint64 // highest on disk
	conn    *link
	connNo  uint64
	dialing bool
	tickAt  time.Time
	busy    bool
	queue   []slavecore.Event
}

func (s *slave) name() string   { return s.id }
func (s *slave) isolated() bool { return s.cutOff || !s.alive }

func (w *World) uuid() (u offer.UUID) {
	binary.BigEndian.PutUint64(u[:8], w.random.Uint64())
	binary.BigEndian.PutUint64(u[8:], w.random.Uint64())
	return u
}

// begin starts the process on what the disk holds.
func (s *slave) begin() {
	w := s.w
	s.life++
	s.alive = true
	core, err := slavecore.New(w.now, slavecore.Config{
		Slave:  offer.Slave{Hostname: s.id, Resources: w.cfg.Resources},
		BootID: "boot", Seed: w.random.Uint64(), Nonce: w.uuid(),
	}, w.carryJournal(s.disk))
	if err != nil {
		w.violate("S7", "%s does not start on its journal: %v", s.id, err)
		return
	}
	w.note(s.id, "begins life %d with %d records", s.life, len(s.disk))
	s.core = core
	s.tickAt = time.Time{}
	s.arm()
	s.connect()
}

// crash ends the process. What was not flushed is lost, but for a prefix that the disk may have got to; containers go on.
func (s *slave) crash() {
	if !s.alive {
		return
	}
	w := s.w
	kept := w.random.IntN(len(s.cache) + 1)
	for _, r := range s.cache[:kept] {
		w.history.flushed(s, r)
	}
	s.disk = append(s.disk, s.cache[:kept]...)
	if w.cfg.LyingDisk {
		s.disk = s.disk[: len(s.disk)*4/5 : len(s.disk)*4/5]
	}
	w.note(s.id, "crashes, %d of %d unflushed records survive", kept, len(s.cache))
	s.cache, s.core, s.alive, s.queue, s.busy = nil, nil, false, nil, false
	s.life++
	s.dialing = false
	if s.conn != nil {
		s.conn.sever(time.Second)
		s.conn = nil
	}
	w.counts.SlaveCrashes++
}

// connect looks for the leader, until it has a connection.
func (s *slave) connect() {
	if s.dialing || s.conn != nil || !s.alive {
		return
	}
	s.dialing = true
	life := s.life
	s.w.after(s.w.between(time.Millisecond, 300*time.Millisecond), func() {
		if s.life != life || !s.alive {
			return
		}
		s.w.dial(s, s.w.detect(), func(l *link) {
			if s.life != life || !s.alive {
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
			s.connected(l)
		})
	})
}

func (s *slave) connected(l *link) {
	s.conn = l
	s.connNo++
	s.step(slavecore.Connected{Conn: s.connNo})
}

func (s *slave) receive(l *link, e message.Envelope) {
	if s.conn == l && s.alive {
		s.step(slavecore.FromMaster{Conn: s.connNo, Envelope: e})
	}
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
	s.queue = append(s.queue, ev)
	if s.busy {
		return
	}
	s.busy = true
	life := s.life
	for len(s.queue) > 0 {
		ev, s.queue = s.queue[0], s.queue[1:]
		for _, e := range s.core.Step(s.w.now, ev, nil) {
			s.perform(e)
		}
		if s.life != life {
			return
		}
		if err := check(s.core); err != nil {
			s.w.violate("core", "%s after %T: %v", s.id, ev, err)
			return
		}
	}
	s.busy = false
	s.arm()
}

func (s *slave) perform(e slavecore.Effect) {
	w, life := s.w, s.life
	switch e := e.(type) {
	case slavecore.Send:
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
		s.write(e)
	case slavecore.Start:
		s.runtime.start(s, life, e)
	case slavecore.Adopt:
		s.runtime.adopt(s, life, e.Container)
	case slavecore.Kill:
		s.runtime.kill(s, e)
	case slavecore.Forget:
		s.runtime.forget(e.Container)
	case slavecore.Resize, slavecore.SendExecutor, slavecore.CloseExecutor, slavecore.MakeVolumes:
	case slavecore.Stop:
		w.violate("sim", "%s stops: %v", s.id, e.Refusal)
	case slavecore.Note:
		w.note(s.id, "%s framework=%s task=%s %s %s", e.Event, e.Framework, e.Task, e.Reason, e.Text)
	default:
		w.violate("sim", "effect %s is not known", fmt.Sprintf("%T", e))
	}
}

// write appends to the journal. Flushes end in order.
func (s *slave) write(e slavecore.Checkpoint) {
	w, life := s.w, s.life
	s.cache = append(s.cache, e.Records...)
	n := len(e.Records)
	at := w.now.Add(w.between(100*time.Microsecond, 5*time.Millisecond))
	if !w.calm && w.chance(0.02) {
		at = w.now.Add(w.between(50*time.Millisecond, time.Second))
	}
	if at.Before(s.writeAt) {
		at = s.writeAt
	}
	s.writeAt = at
	w.at(at, func() {
		if s.life != life {
			return
		}
		for _, r := range s.cache[:n] {
			w.history.flushed(s, r)
		}
		s.disk = append(s.disk, s.cache[:n]...)
		s.cache = s.cache[n:]
		s.step(slavecore.Checkpointed{Token: e.Token})
	})
}

func (s *slave) arm() {
	if s.core == nil {
		return
	}
	at := s.core.Deadline()
	if at.IsZero() || !s.tickAt.IsZero() && !at.Before(s.tickAt) {
		return
	}
	if at.Before(s.w.now) {
		at = s.w.now
	}
	s.tickAt = at
	life := s.life
	s.w.at(at, func() {
		if s.life == life && s.tickAt.Equal(at) {
			s.tickAt = time.Time{}
			s.step(slavecore.Tick{})
		}
	})
}
