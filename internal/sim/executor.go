package sim

import (
	"slices"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
)

// executor is a custom executor's process: it runs tasks, reports them until it is told that its slave has taken the report over, and finds
// its slave again after either has lost the other.
type executor struct {
	s         *slave
	c         *container
	framework offer.FrameworkID
	info      offer.Executor
	token     string
	conn      uint64
	dialing   bool
	tasks     []*execTask
	pending   []offer.Status
	stopping  bool
}

type execTask struct {
	id    offer.TaskID
	known bool // an update of it was taken over
	ended bool
}

// connect dials the slave after a while, and again until it is there.
func (x *executor) connect(d time.Duration) {
	if x.dialing {
		return
	}
	x.dialing = true
	s := x.s
	s.w.after(d, func() {
		x.dialing = false
		if !x.c.running || x.conn != 0 {
			return
		}
		if !s.alive {
			return // it is told when the slave is back
		}
		r := &s.runtime
		r.lastConn++
		if r.conns == nil {
			r.conns = map[uint64]*container{}
		}
		x.conn = r.lastConn
		r.conns[x.conn] = x.c
		sub := &message.ExecutorSubscribe{Framework: x.framework, Executor: x.info.ID, Token: x.token, Updates: slices.Clone(x.pending)}
		for _, t := range x.tasks {
			if !t.known {
				sub.Tasks = append(sub.Tasks, offer.Task{ID: t.id})
			}
		}
		r.say(s, x.conn, sub)
	})
}

func (x *executor) receive(m message.Message) {
	w := x.s.w
	switch m := m.(type) {
	case *message.ExecutorSubscribed:
		if x.s.life > 1 && len(x.tasks) > 0 {
			w.states.reach(StateExecutorBack)
		}
	case *message.ExecutorLaunch:
		for i := range m.Tasks {
			x.launch(&m.Tasks[i])
		}
	case *message.ExecutorKill:
		for _, t := range x.tasks {
			if t.id == m.Task && !t.ended {
				w.after(w.between(time.Millisecond, 500*time.Millisecond), func() { x.finish(t, offer.Killed, offer.Exit{Signal: 15}) })
			}
		}
	case *message.ExecutorAck:
		for i := range x.pending {
			st := &x.pending[i]
			if st.UUID == m.UUID && st.TaskID == m.Task {
				for j, t := range x.tasks {
					if t.id == m.Task {
						t.known = true
						if st.State.Terminal() {
							x.tasks = slices.Delete(x.tasks, j, j+1)
						}
						break
					}
				}
				x.pending = slices.Delete(x.pending, i, i+1)
				break
			}
		}
	case *message.ExecutorStop:
		if x.stopping {
			return
		}
		x.stopping = true
		for _, t := range slices.Clone(x.tasks) {
			x.finish(t, offer.Killed, offer.Exit{Signal: 15})
		}
		w.after(w.between(time.Millisecond, time.Second), func() { x.s.runtime.exit(x.s, x.c, offer.Exit{}) })
	}
}

func (x *executor) launch(task *offer.Task) {
	w := x.s.w
	for _, t := range x.tasks {
		if t.id == task.ID {
			return
		}
	}
	t := &execTask{id: task.ID}
	x.tasks = append(x.tasks, t)
	w.states.reach(StateExecutor)
	if x.c.transient {
		w.history.unwritten(x.s, x.key(t), task.Resources)
	}
	w.history.started(x.s, x.c, x.key(t))
	x.report(t, offer.Running)
	runs, exit := w.cfg.Runs(w.random, task)
	w.after(runs, func() {
		state := offer.Finished
		if !exit.Success() {
			state = offer.Failed
		}
		x.finish(t, state, exit)
	})
}

func (x *executor) key(t *execTask) string { return string(x.framework) + "/" + string(t.id) }

func (x *executor) finish(t *execTask, state offer.State, exit offer.Exit) {
	if t.ended || !x.c.running {
		return
	}
	t.ended = true
	x.s.w.history.exited(x.s, x.key(t), exit)
	x.report(t, state)
}

func (x *executor) report(t *execTask, state offer.State) {
	st := offer.Status{TaskID: t.id, ExecutorID: x.info.ID, State: state, Source: offer.SourceExecutor, UUID: x.s.w.uuid(), Time: x.s.time()}
	x.pending = append(x.pending, st)
	if x.conn != 0 {
		x.s.runtime.say(x.s, x.conn, &message.ExecutorUpdate{Status: st})
	}
}

// ended is the end of the process: its tasks end with it.
func (x *executor) ended() {
	for _, t := range x.tasks {
		if !t.ended {
			t.ended = true
			x.s.w.history.exited(x.s, x.key(t), offer.Exit{Signal: 9})
		}
	}
	conn := x.conn
	x.conn = 0
	if s := x.s; conn != 0 && s.alive {
		delete(s.runtime.conns, conn)
		s.step(slavecore.ExecutorDisconnected{Conn: conn})
	}
}
