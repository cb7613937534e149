package slave

import (
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
)

// An outgoing is messages for one connection that wait for the end of a batch of effects, to be written together.
type outgoing struct {
	conn *transport.Conn
	envs []message.Envelope
}

// perform carries out effects in order, on the loop's goroutine.
func (s *Slave) perform(effects []slavecore.Effect) error {
	for _, e := range effects {
		if err := s.effect(e); err != nil {
			s.flushWrites()
			s.flushOut()
			return err
		}
	}
	s.flushWrites()
	s.flushOut()
	s.compactIfDue()
	return nil
}

func (s *Slave) effect(e slavecore.Effect) error {
	switch e := e.(type) {
	case slavecore.Send:
		if conn := s.master.current(e.Conn); conn != nil {
			s.leases.leaving(e.Message)
			s.post(conn, message.Envelope{Cluster: s.core.Cluster(), Reign: s.core.Reign(), Message: e.Message})
		}
	case slavecore.Reconnect:
		s.flushOut()
		s.master.drop(e.Refusal)
	case slavecore.Checkpoint:
		s.stats.checkpoints.Add(1)
		s.writes = append(s.writes, journalItem{token: e.Token, records: e.Records})
	case slavecore.Start:
		s.runner.Start(s.spec(&e), e.Recovered)
	case slavecore.Adopt:
		s.adopted(&e)
		s.runner.Adopt(e.Container)
	case slavecore.Kill:
		s.runner.Kill(e.Container, e.Sure)
	case slavecore.Resize:
		s.runner.Update(e.Container, e.Resources, e.Limits)
	case slavecore.Renew:
		s.runner.Renew(e.Container, s.leases.until(e.Seq, e.Lease))
	case slavecore.Forget:
		s.live.ended(e.Container)
		s.runner.Forget(e.Container)
	case slavecore.Probe:
		s.probe(&e)
	case slavecore.EndProbe:
		s.probers.end(e.Probe)
	case slavecore.SendExecutor:
		if conn := s.executors.get(e.Conn); conn != nil {
			s.post(conn, message.Envelope{Cluster: s.core.Cluster(), Reign: s.core.Reign(), Message: e.Message})
		}
	case slavecore.CloseExecutor:
		s.flushOut()
		s.executors.cut(e.Conn, e.Refusal)
	case slavecore.MakeVolumes:
		s.makeVolumes(e.Create, e.Destroy)
	case slavecore.Stop:
		if e.Refusal != nil {
			s.stopped = e.Refusal
		}
		return errStop
	case slavecore.Note:
		s.note(e)
	}
	return nil
}

// flushWrites hands the checkpoints of a batch to the journal. Nothing in the batch waits for them: what does comes with the answer.
func (s *Slave) flushWrites() {
	if len(s.writes) > 0 {
		s.journal.enqueue(s.writes...)
		clear(s.writes)
		s.writes = s.writes[:0]
	}
}

// post keeps a message until the end of the batch, in order with the others of its connection.
func (s *Slave) post(conn *transport.Conn, env message.Envelope) {
	for i := range s.out {
		if s.out[i].conn == conn {
			s.out[i].envs = append(transport.Envelopes.Room(s.out[i].envs, 1), env)
			return
		}
	}
	n := len(s.out)
	if n == cap(s.out) {
		s.out = append(s.out, outgoing{})
	} else {
		s.out = s.out[:n+1] // with the room that it had before
	}
	o := &s.out[n]
	o.conn, o.envs = conn, append(o.envs[:0], env)
}

func (s *Slave) flushOut() {
	for i := range s.out {
		o := &s.out[i]
		for rest := o.envs; len(rest) > 0; {
			if err := o.conn.Send(rest...); err == nil || o.conn.Err() != nil {
				break // a connection that is closed ends where it is read
			}
			rest = s.skipTooLarge(o.conn, rest)
		}
		o.conn = nil
		o.envs = transport.Envelopes.Emptied(o.envs)
	}
	s.out = s.out[:0]
}

// skipTooLarge goes on behind the one message of a batch that does not fit a frame. It is found by sending them one by one.
func (s *Slave) skipTooLarge(conn *transport.Conn, envs []message.Envelope) []message.Envelope {
	for i, env := range envs {
		if err := conn.Send(env); err != nil {
			s.cfg.Logger.Error("a message is too large to be sent", "kind", env.Message.Kind(), "err", err)
			return envs[i+1:]
		}
	}
	return nil
}

// settled is called after each batch. The first has told which containers of an earlier run there are.
func (s *Slave) settled() {
	select {
	case <-s.collector.recovered:
	default:
		close(s.collector.recovered)
	}
	s.noteRegistration()
}

// noteRegistration tells Ready and the observer about a welcome.
func (s *Slave) noteRegistration() {
	now := s.core.Registered()
	if now == s.registered {
		return
	}
	s.registered = now
	if !now {
		return
	}
	id := s.core.SlaveID()
	s.id.Store(id)
	select {
	case <-s.ready:
	default:
		close(s.ready)
	}
	s.cfg.Logger.Info("registered", "slave", id, "cluster", s.core.Cluster(), "reign", s.core.Reign())
	if f := s.cfg.Observer.Registered; f != nil {
		f(id)
	}
}

// compactIfDue rewrites the journal when it has grown to twice its size. All effects are performed, so that the core and what the journal
// was told agree.
func (s *Slave) compactIfDue() {
	size, base, renewed := s.journal.length()
	if renewed < s.renewals || size < s.cfg.CompactBytes || size < 2*base {
		return
	}
	s.journal.replace(s.core.Compact())
	s.renewals = renewed + 1 // not again before this one is done
}

func (s *Slave) note(e slavecore.Note) {
	s.cfg.Logger.Info(e.Event, "framework", e.Framework, "task", e.Task, "reason", e.Reason.String(), "text", e.Text)
	if f := s.cfg.Observer.Noted; f != nil {
		f(e.Event, e.Framework, e.Task, e.Reason, e.Text)
	}
}

// checkpointed answers Checkpoints; the journal calls it.
func (s *Slave) checkpointed(token uint64, err error) {
	s.stats.flushes.Store(s.journal.flushes)
	if err != nil {
		s.loop.Complete(slavecore.CheckpointFailed{Token: token, Error: err.Error()})
		return
	}
	s.loop.Complete(slavecore.Checkpointed{Token: token})
}

// containerEvent passes on what the runner tells, from any goroutine.
func (s *Slave) containerEvent(ev isolation.Event) {
	switch ev.Kind {
	case isolation.Started:
		s.stats.started.Add(1)
		s.loop.Complete(slavecore.Started{Container: ev.Container, PID: ev.PID, Sandbox: ev.Sandbox})
		if f := s.cfg.Observer.Started; f != nil {
			f(ev.Container, ev.PID)
		}
		return
	case isolation.StartFailed:
		s.leaveSandbox(&ev)
		reason := ev.Reason
		if reason == offer.ReasonNone {
			reason = offer.ReasonContainerLaunchFailed
		}
		s.loop.Complete(slavecore.StartFailed{Container: ev.Container, Reason: reason, Error: ev.Message})
	case isolation.Exited:
		s.leaveSandbox(&ev)
		s.loop.Complete(slavecore.Exited{Container: ev.Container, Exit: ev.Exit, Known: ev.Known, Reason: ev.Reason, Message: ev.Message,
			Limitation: ev.Limitation})
	}
	s.stats.ended.Add(1)
	if f := s.cfg.Observer.Ended; f != nil {
		f(ev)
	}
}

// leaveSandbox says that a container has ended: from now on its sandbox grows old. That comes before the core knows, which may have another
// container use the same one. A runner that names no sandbox has used none.
func (s *Slave) leaveSandbox(ev *isolation.Event) {
	if ev.Sandbox != "" {
		if sandbox := s.live.of(ev.Container); sandbox != "" {
			s.markUse(sandbox)
		}
	}
	s.live.ended(ev.Container)
}
