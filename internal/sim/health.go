package sim

import (
	"math/rand/v2"
	"time"

	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
)

// vitals are what a container has answered to the checks of its slave's present life.
type vitals struct {
	health *offer.HealthCheck // nil: nobody looks
	life   int                // of the slave
	since  int64              // when that knew that the container runs
	good   bool               // the last answer about its health
	passed bool               // there was a good one
	bad    int                // bad ones in a row
	late   int                // of them, those after the grace or a good one, which count in any case
	ill    bool               // answers badly, most of the time
	drawn  bool               // ill was drawn
}

// unwell gives some tasks of modelled programs checks, while tasks may fail them.
func (w *World) unwell(t *offer.Task) {
	if w.strength(FaultSick) == 0 || !w.dice(FaultSick).chance(0.3) {
		return
	}
	d := w.dice(FaultSick)
	check := offer.Check{Kind: offer.CheckTCP, Port: 80, Delay: d.between(-time.Second, 5*time.Second), Interval: d.between(500*time.Millisecond, 10*time.Second),
		Timeout: d.between(time.Second, 5*time.Second)}
	t.Health = &offer.HealthCheck{Check: check, Grace: d.between(-5*time.Second, 10*time.Second), Failures: 1 + d.IntN(3)}
	if d.chance(0.3) {
		check.Kind, check.Port, check.Command = offer.CheckCommand, 0, &offer.Command{Value: "look", Shell: true}
		t.Check = &check
	}
}

// sound answers as tasks do that nothing ails.
func sound(_ *rand.Rand, _ *offer.Task, c *offer.Check, _ time.Duration) offer.CheckResult {
	return offer.CheckResult{Kind: c.Kind, Known: true, Status: 200, Succeeded: true}
}

// answers draws what a check is answered: of tasks that are ill mostly nothing good.
func (w *World) answers(c *container, e *slavecore.Probe) offer.CheckResult {
	d := w.dice(FaultSick)
	r := w.cfg.Probes(d.Rand, e.Task, e.Check(), time.Duration(w.ns-c.vitals.since))
	r.Kind = e.Check().Kind
	if w.strength(FaultSick) == 0 {
		return r
	}
	if !c.vitals.drawn {
		c.vitals.drawn, c.vitals.ill = true, w.bites(FaultSick, 0.5)
	}
	p := 0.02
	if c.vitals.ill {
		p = 0.8
	}
	if d.chance(p) {
		r = offer.CheckResult{Kind: r.Kind, Known: d.chance(0.5), ExitCode: 1, Status: 500}
	}
	return r
}

// probe answers a check, at the latest when its time is over. One that is given up ends when it does.
func (r *runtime) probe(s *slave, life int, e slavecore.Probe) {
	w := s.w
	took := w.dice(FaultSick).between(time.Millisecond, 50*time.Millisecond)
	ev := slavecore.Probed{Probe: e.Probe, Result: offer.CheckResult{Kind: e.Check().Kind}}
	c := r.containers[e.Container]
	if c != nil && c.running {
		ev.Result = w.answers(c, &e)
	}
	if !ev.Result.Known {
		took, ev.Error = e.Check().EffectiveTimeout(), "nothing came of it"
	}
	w.after(took, func() {
		if s.life != life {
			return
		}
		if e.Health && c != nil && c.running && c.vitals.life == life {
			w.history.looked(s, c, ev.Result.Healthy())
		}
		s.step(ev)
	})
}

// watched begins what a slave's life may know of a container's health.
func (c *container) watched(s *slave) {
	c.vitals = vitals{health: c.vitals.health, life: s.life, since: s.w.ns, ill: c.vitals.ill, drawn: c.vitals.drawn}
}

// looked sees an answer about a container's health on its way to the slave: who has answered badly too often does not run for long (T12).
func (h *history) looked(s *slave, c *container, good bool) {
	v := &c.vitals
	if v.good = good; good {
		v.passed, v.bad, v.late = true, 0, 0
		return
	}
	v.bad++
	grace := v.health.EffectiveGrace()
	if v.passed || h.w.ns-max(v.since, s.stood) > int64(grace+grace/10+time.Second) { // by any clock, also one that stood still
		v.late++
	}
	if v.late != v.health.EffectiveFailures() {
		return
	}
	w, from, within, life := h.w, h.w.ns, h.w.graceful(), v.life // a slave that dies before it has written that counts anew
	w.after(within, func() {
		if s.sound(life, from) && c.running && v.life == life {
			w.violate("T12", "%s was told %v ago that %s is unhealthy once more than it may be, and it runs", s.id, within, c.task)
		}
	})
}

// diagnoses sees what a slave is about to do.
func (h *history) diagnoses(s *slave, out []slavecore.Effect) {
	for _, e := range out {
		if x, is := e.(slavecore.Checkpoint); is {
			for _, rec := range x.Records {
				h.diagnosed(s, rec)
			}
		}
	}
}

// diagnosed sees what a slave writes about the health of its tasks: it says what it was answered, and kills none before it was answered so
// badly as often as the task allows (T12).
func (h *history) diagnosed(s *slave, rec slavecore.Record) {
	switch rec := rec.(type) {
	case *slavecore.Updated:
		st := rec.Status
		c := s.runtime.of(string(rec.Framework) + "/" + string(st.TaskID))
		if st.Reason != offer.ReasonTaskHealthCheckStatusUpdated || st.State != offer.Running || c == nil || c.vitals.life != s.life {
			return
		}
		if st.Healthy == nil || *st.Healthy != c.vitals.good {
			h.w.violate("T12", "%s says of %s healthy=%v, and was last answered %v", s.id, c.task, st.Healthy != nil && *st.Healthy, c.vitals.good)
		}
	case *slavecore.Killed:
		h.expires(rec)
		c := s.runtime.of(string(rec.Framework) + "/" + string(rec.Task))
		if rec.Reason != offer.ReasonTaskHealthCheckStatusUpdated || c == nil || c.vitals.life != s.life {
			return
		}
		if r := h.tasks[c.task]; r != nil {
			r.doomed = true // S1: for a reason
		}
		h.w.states.reach(StateUnhealthy)
		if v := c.vitals; v.health == nil || v.bad < v.health.EffectiveFailures() {
			h.w.violate("T12", "%s kills %s, which was unhealthy %d times in a row only", s.id, c.task, v.bad)
		}
	}
}

// of is the container of a task that runs.
func (r *runtime) of(task string) *container {
	for _, c := range r.all {
		if c.task == task && c.running {
			return c
		}
	}
	return nil
}
