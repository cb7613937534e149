package sim

import (
	"time"

	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
)

// runtime is the machine's containers. It outlives the slave's process, as supervisors do.
type runtime struct {
	containers map[string]*container // looked up, never ranged over
	lastPID    int
}

type container struct {
	id       string
	task     string // framework/task
	running  bool
	pid      int
	exit     offer.Exit
	told     int  // the life of the slave that knows that it runs
	stubborn bool // ignores the polite signal
	gone     bool
}

// start starts a container, or takes over what an earlier life had started.
func (r *runtime) start(s *slave, life int, e slavecore.Start) {
	w := s.w
	if e.Task == nil { // a custom executor: nobody would speak for it
		w.after(time.Millisecond, func() {
			if s.life == life {
				s.step(slavecore.StartFailed{Container: e.Container, Reason: offer.ReasonUnsupported, Error: "executors are not simulated"})
			}
		})
		return
	}
	if r.containers[e.Container] != nil {
		if !e.Recovered {
			w.violate("T5", "%s starts container %s twice", s.id, e.Container)
		}
		r.adopt(s, life, e.Container)
		return
	}
	launch := func() {
		if s.life != life || r.containers[e.Container] != nil { // only a living process forks
			return
		}
		r.fork(s, e)
	}
	if w.chance(0.5) { // forked at once, told later: the slave may die in between
		launch()
	}
	w.after(w.between(time.Millisecond, 30*time.Millisecond), func() {
		if s.life != life {
			return
		}
		if r.containers[e.Container] == nil && !w.calm && w.chance(0.02) {
			s.step(slavecore.StartFailed{Container: e.Container, Reason: offer.ReasonContainerLaunchFailed, Error: "out of luck"})
			return
		}
		launch()
		c := r.containers[e.Container]
		s.step(slavecore.Started{Container: c.id, PID: c.pid, Sandbox: "/sandbox/" + c.id})
		c.told = life
		if !c.running {
			s.step(slavecore.Exited{Container: c.id, Exit: c.exit, Known: true})
		}
	})
}

func (r *runtime) fork(s *slave, e slavecore.Start) {
	w := s.w
	r.lastPID++
	c := &container{id: e.Container, task: string(e.Framework.ID) + "/" + string(e.Task.ID), running: true, pid: r.lastPID, stubborn: w.chance(0.2)}
	r.containers[e.Container] = c
	w.history.started(s, c)
	runs, exit := w.cfg.Runs(w.random, e.Task)
	w.after(runs, func() { r.exit(s, c, exit) })
}

func (r *runtime) exit(s *slave, c *container, exit offer.Exit) {
	if !c.running {
		return
	}
	c.running, c.exit = false, exit
	s.w.history.exited(s, c)
	if s.alive && c.told == s.life {
		s.step(slavecore.Exited{Container: c.id, Exit: exit, Known: true})
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
			s.step(slavecore.Started{Container: id, PID: c.pid, Sandbox: "/sandbox/" + id})
		default:
			s.step(slavecore.Exited{Container: id, Exit: c.exit, Known: true})
		}
	})
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

func (r *runtime) forget(id string) {
	if c := r.containers[id]; c != nil && !c.running {
		c.gone = true
	}
}
