package sim

import (
	"slices"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// runtime is the machine's containers and volumes. It outlives the slave's process, as supervisors do.
type runtime struct {
	containers map[string]*container // looked up, never ranged over
	all        []*container          // those that run, and those that have ended and are not forgotten; in the order of their starts
	volumes    map[string]bool       // looked up
	conns      map[uint64]*container // executors, by connection; looked up
	lastConn   uint64
	lastPID    int
	running    []*record // tasks with a live process
}

type container struct {
	id        string
	task      string // framework/task; empty for an executor
	running   bool
	pid       int
	exit      offer.Exit
	told      int  // the life of the slave that knows that it runs
	stubborn  bool // ignores the polite signal
	unseen    bool // nobody knows how it ended
	transient bool // nothing of it is on disk
	exec      *executor
	born      int           // the life of the slave that has started it
	until     time.Duration // of its lease, by boot; zero: it has none
	expired   bool          // ended because that was over
	vitals    vitals
}

func newRuntime() runtime {
	return runtime{containers: map[string]*container{}, volumes: map[string]bool{}}
}

// start starts a container, or takes over what an earlier life had started.
func (r *runtime) start(s *slave, life int, e slavecore.Start) {
	w := s.w
	if r.containers[e.Container] != nil {
		if !e.Recovered {
			w.violate("T5", "%s starts container %s twice", s.id, e.Container)
		}
		r.adopt(s, life, e.Container)
		return
	}
	launch := func() {
		if s.life != life || r.containers[e.Container] != nil || !s.mayFork(e) { // only a living process forks
			return
		}
		r.fork(s, e)
	}
	if soon := w.chance(0.5); soon && !s.barren && !s.exhausted { // forked at once, told later: the slave may die in between
		launch()
	}
	var told func()
	told = func() {
		if s.life != life || s.later(told) {
			return
		}
		if r.containers[e.Container] == nil && !w.calm && w.chance(w.swarm.runtime) {
			w.history.unstarted(e)
			s.step(slavecore.StartFailed{Container: e.Container, Reason: offer.ReasonContainerLaunchFailed, Error: "out of luck"})
			return
		}
		if r.containers[e.Container] == nil && (s.barren || s.exhausted) {
			w.states.reach(StateForkFailed)
			w.history.unstarted(e)
			s.step(slavecore.StartFailed{Container: e.Container, Reason: offer.ReasonContainerLaunchFailed, Error: "resource temporarily unavailable"})
			return
		}
		launch()
		c := r.containers[e.Container]
		if c == nil { // its lease was over first
			s.step(slavecore.StartFailed{Container: e.Container, Reason: offer.ReasonLeaseExpired, Error: "its lease was over"})
			return
		}
		c.watched(s)
		s.step(slavecore.Started{Container: c.id, PID: c.pid, Sandbox: "/sandbox/" + c.id})
		c.told = life
		if !c.running {
			s.step(c.end())
		}
	}
	w.after(w.between(time.Millisecond, 30*time.Millisecond), told)
}

func (r *runtime) fork(s *slave, e slavecore.Start) {
	w := s.w
	r.lastPID++
	c := &container{id: e.Container, running: true, pid: r.lastPID, stubborn: w.chance(0.2)}
	r.containers[e.Container] = c
	r.all = append(r.all, c)
	w.history.contained(s, c)
	if e.Task != nil {
		c.task = string(e.Framework.ID) + "/" + string(e.Task.ID)
	}
	c.starts(s, e)
	if e.Task == nil {
		c.exec = &executor{s: s, c: c, framework: e.Framework.ID, info: *e.Executor, token: e.Token}
		w.history.executor(s, c)
		c.exec.connect(w.between(10*time.Millisecond, 2*time.Second))
		return
	}
	c.vitals.health = e.Task.Health
	if e.Task.Lease > 0 {
		c.until = s.asked[e.Renewal] + e.Task.Lease
		r.keepLease(s, c)
	}
	w.history.started(s, c, c.task)
	runs, exit := w.cfg.Runs(w.random, e.Task)
	w.after(runs, func() { r.exit(s, c, exit) })
}

func (r *runtime) exit(s *slave, c *container, exit offer.Exit) {
	if !c.running {
		return
	}
	c.running, c.exit = false, exit
	if c.exec != nil {
		c.exec.ended()
	} else {
		s.w.history.exited(s, c.task, exit)
	}
	if s.alive && c.told == s.life {
		s.step(c.end())
	}
}

// adopt answers how a container of an earlier life is.
func (r *runtime) adopt(s *slave, life int, id string) {
	s.w.after(s.w.between(time.Millisecond, 10*time.Millisecond), func() {
		if s.life != life {
			return
		}
		c := r.containers[id]
		switch {
		case c == nil:
			s.step(slavecore.Exited{Container: id})
		case c.running:
			c.told = life
			c.watched(s)
			s.step(slavecore.Started{Container: id, PID: c.pid, Sandbox: "/sandbox/" + id})
		default:
			s.step(c.end())
		}
	})
}

// end is what can be said about a container that has ended.
func (c *container) end() slavecore.Exited {
	if c.unseen {
		return slavecore.Exited{Container: c.id}
	}
	ev := slavecore.Exited{Container: c.id, Exit: c.exit, Known: true}
	if c.expired {
		ev.Reason, ev.Message = offer.ReasonLeaseExpired, "its lease was not renewed in time"
	}
	return ev
}

func (r *runtime) kill(s *slave, e slavecore.Kill) {
	c := r.containers[e.Container]
	if c == nil || !c.running || c.stubborn && !e.Sure {
		return
	}
	signal := 15
	if e.Sure {
		signal = 9
	}
	s.w.after(s.w.between(time.Millisecond, 500*time.Millisecond), func() { r.exit(s, c, offer.Exit{Signal: signal}) })
}

// forget keeps the id, so that a second start is noticed, and drops the rest.
func (r *runtime) forget(id string) {
	if c := r.containers[id]; c != nil && !c.running {
		if i := slices.Index(r.all, c); i >= 0 {
			r.all = slices.Delete(r.all, i, i+1)
		}
	}
}

// slaveDied is what executors notice of the end of their slave's process.
func (r *runtime) slaveDied() {
	r.conns = nil
	for _, c := range r.all {
		if c.exec != nil {
			c.exec.conn = 0
		}
	}
}

// reconnect lets executors find the slave that is back, most in time.
func (r *runtime) reconnect(s *slave) {
	for _, c := range r.all {
		if c.exec != nil && c.running {
			c.exec.connect(s.w.between(20*time.Millisecond, 1500*time.Millisecond))
		}
	}
}

// powerOff ends everything at once, and nobody sees how.
func (r *runtime) powerOff(s *slave) {
	for _, c := range r.all {
		if !c.running {
			continue
		}
		c.running = false
		if c.exec != nil {
			c.exec.ended()
		} else {
			s.w.history.exited(s, c.task, offer.Exit{Signal: 9})
		}
	}
	r.containers, r.all = map[string]*container{}, nil
}

// trouble ends some container, or an executor's connection.
func (r *runtime) trouble(s *slave) {
	for _, c := range r.all {
		if !c.running || !s.w.chance(0.5) {
			continue
		}
		if c.exec != nil && s.w.chance(0.7) {
			if c.exec.conn != 0 && s.alive {
				conn := c.exec.conn
				r.hangUp(s, conn)
				s.step(slavecore.ExecutorDisconnected{Conn: conn})
			}
			return
		}
		r.exit(s, c, offer.Exit{Signal: 9})
		return
	}
}

// makeVolumes keeps the directories of persistent volumes.
func (r *runtime) makeVolumes(s *slave, e slavecore.MakeVolumes) {
	for _, v := range volumes(e.Create) {
		r.volumes[v] = true
	}
	for _, v := range volumes(e.Destroy) {
		for _, run := range r.running {
			if slices.Contains(volumes(run.resources), v) {
				s.w.violate("R11", "%s destroys volume %s, which %s uses", s.id, v, run.key)
			}
		}
		delete(r.volumes, v)
	}
}

// volumes are the ids of persistent volumes among resources.
func volumes(rs resource.Resources) (ids []string) {
	for i := range rs {
		if rs[i].Volume != nil {
			ids = append(ids, rs[i].Volume.ID)
		}
	}
	return ids
}

// tell delivers a message to an executor; hangUp ends its connection.
func (r *runtime) tell(s *slave, e slavecore.SendExecutor) {
	c := r.conns[e.Conn]
	if c == nil {
		return
	}
	s.w.after(s.w.between(10*time.Microsecond, 100*time.Microsecond), func() {
		if c.running && c.exec.conn == e.Conn {
			c.exec.receive(e.Message)
		}
	})
}

func (r *runtime) hangUp(s *slave, conn uint64) {
	c := r.conns[conn]
	if c == nil {
		return
	}
	delete(r.conns, conn)
	if c.exec.conn == conn {
		c.exec.conn = 0
		if c.running {
			c.exec.connect(s.w.between(100*time.Millisecond, 2*time.Second))
		}
	}
}

// say sends a message from an executor's connection.
func (r *runtime) say(s *slave, conn uint64, m message.Message) {
	life := s.life
	s.w.after(s.w.between(10*time.Microsecond, 100*time.Microsecond), func() {
		if s.life == life && r.conns[conn] != nil {
			s.step(slavecore.FromExecutor{Conn: conn, Message: m})
		}
	})
}
