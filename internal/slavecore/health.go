package slavecore

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/offer"
)

// maxCheckUpdates is how many updates may wait in a task's stream for a result of a check to be added to them. A task that changes its mind
// while nobody acknowledges does not fill the disk: what has become of it is told when there is room again.
const maxCheckUpdates = 4

// maxSpread bounds the time over which the first probes of checks are spread, so that tasks that start together are not probed together.
const maxSpread = 5 * time.Second

// checks are those of a task that the slave makes itself: from the moment it runs until it ends or is to be killed.
type checks struct {
	health, check probing
	began         time.Time // of the grace
	passed        bool      // once since it began: failures count
	failures      int       // in a row
	why           string    // the last result that is worth telling, in words
	seen, told    findings
}

// findings are what is known from checks.
type findings struct {
	known, healthy bool
	result         offer.CheckResult
}

// probing is one check: its timer runs, or it waits for its turn, or a probe is under way.
type probing struct {
	spec    *offer.Check // nil: there is none
	timer   timer
	waiting bool
	probe   uint64 // zero: none is under way
}

// A probe is one that is under way. It counts until the shell has answered, even if nobody wants to know any more.
type probe struct {
	fw     *framework
	task   *task // nil: the answer comes too late
	health bool
}

// A turn is a check that waits for its own.
type turn struct {
	task   *task
	health bool
}

// newChecks returns the checks of a task that the slave is to make, nil if there are none.
func newChecks(t *task) *checks {
	if !t.own() || t.info.Check == nil && t.info.Health == nil {
		return nil
	}
	k := &checks{}
	k.health.timer.kind, k.health.timer.task = timerHealth, t
	k.check.timer.kind, k.check.timer.task = timerCheck, t
	if h := t.info.Health; h != nil {
		k.health.spec = &h.Check
	}
	if s := t.info.Check; s != nil {
		k.check.spec = s
		k.seen.result.Kind = s.Kind
		k.told = k.seen
	}
	return k
}

func (k *checks) of(health bool) *probing {
	if health {
		return &k.health
	}
	return &k.check
}

// beginChecks is called when a task runs, and again when a restarted slave has taken it over.
func (c *Core) beginChecks(t *task) {
	k := t.checks
	if k == nil || t.kill != nil || t.state.Terminal() {
		return
	}
	k.began, k.passed, k.failures = c.now, false, 0
	for _, p := range [...]*probing{&k.health, &k.check} {
		if p.spec != nil {
			spread := c.random.Uint64() % uint64(min(p.spec.EffectiveInterval()/2, maxSpread))
			c.timers.arm(&p.timer, c.now.Add(p.spec.EffectiveDelay()+time.Duration(spread)))
		}
	}
}

// endChecks is called when a task has ended or is to be killed. What a probe says afterwards is of no interest.
func (c *Core) endChecks(t *task) {
	if t.checks == nil {
		return
	}
	for _, p := range [...]*probing{&t.checks.health, &t.checks.check} {
		c.timers.stop(&p.timer)
		p.waiting = false
		if under := c.probes[p.probe]; under != nil {
			under.task = nil
			c.emit(EndProbe{Probe: p.probe})
			p.probe = 0
		}
	}
}

// checkDue has a check wait for its turn, which mostly comes at once.
func (c *Core) checkDue(t *task, health bool) {
	t.checks.of(health).waiting = true
	t.fw.turns = append(t.fw.turns, turn{t, health})
	c.probeNext()
}

// probeNext starts as many probes as there may be, each time one of the framework that has the fewest under way: those of one that never
// answer do not keep those of others waiting. No framework has more than half of them.
func (c *Core) probeNext() {
	for len(c.probes) < c.cfg.MaxProbes {
		var next *framework
		for f := range c.frameworks.all {
			for len(f.turns) > 0 && !f.turns[0].task.checks.of(f.turns[0].health).waiting {
				f.turns = f.turns[1:] // its task has ended since
			}
			if len(f.turns) > 0 && f.probing < max(1, c.cfg.MaxProbes/2) && (next == nil || f.probing < next.probing) {
				next = f
			}
		}
		if next == nil {
			return
		}
		x := next.turns[0]
		next.turns = next.turns[1:]
		if len(next.turns) == 0 {
			next.turns = nil
		}
		c.startProbe(x.task, x.health)
	}
}

func (c *Core) startProbe(t *task, health bool) {
	c.lastProbe++
	p := t.checks.of(health)
	p.waiting, p.probe = false, c.lastProbe
	c.probes[p.probe] = &probe{fw: t.fw, task: t, health: health}
	t.fw.probing++
	c.emit(Probe{Probe: p.probe, Container: t.container, PID: t.where.PID, Framework: t.fw.info, Task: t.info, Health: health})
}

// probed takes an answer.
func (c *Core) probed(ev Probed) {
	x := c.probes[ev.Probe]
	if x == nil {
		return
	}
	delete(c.probes, ev.Probe)
	x.fw.probing--
	if t := x.task; t != nil {
		p := t.checks.of(x.health)
		p.probe = 0
		c.timers.arm(&p.timer, c.now.Add(p.spec.EffectiveInterval()))
		ev.Result.Kind = p.spec.Kind
		switch {
		case ev.Void:
		case x.health:
			c.healthSeen(t, ev)
		default:
			t.checks.seen.result, t.checks.why = ev.Result, "check: "+ev.said()
			c.tellChecks(t)
		}
	}
	c.probeNext()
}

// said is the answer in words.
func (ev *Probed) said() string {
	if ev.Error != "" {
		return ev.Error
	}
	return ev.Result.String()
}

// healthSeen counts failures in a row. Until the first success, those within the grace do not count.
func (c *Core) healthSeen(t *task, ev Probed) {
	k, h := t.checks, t.info.Health
	if ev.Result.Healthy() {
		k.passed, k.failures = true, 0
		k.seen.known, k.seen.healthy, k.why = true, true, "health check: "+ev.said()
		c.tellChecks(t)
		return
	}
	if grace := h.EffectiveGrace(); !k.passed && grace > 0 && !c.now.After(k.began.Add(grace)) {
		return
	}
	k.failures++
	k.seen.known, k.seen.healthy, k.why = true, false, "health check: "+ev.said()
	c.tellChecks(t)
	if k.failures < h.EffectiveFailures() {
		return
	}
	text := "it failed its " + k.why
	if k.failures > 1 {
		text = fmt.Sprintf("it failed its health check %d times in a row, at last with: %s", k.failures, ev.said())
	}
	c.note("task unhealthy", t.fw.id, t.info.ID, offer.ReasonTaskHealthCheckStatusUpdated, text)
	c.killTask(t, c.grace(t, nil), offer.ReasonTaskHealthCheckStatusUpdated, text)
}

// tellChecks tells what checks have found if that is not what was told, as soon as there is room for it.
func (c *Core) tellChecks(t *task) {
	k := t.checks
	if k == nil || k.seen == k.told || t.phase != phaseRunning || t.kill != nil || t.state != offer.Running ||
		len(t.stream.entries) >= maxCheckUpdates {
		return
	}
	reason := offer.ReasonTaskHealthCheckStatusUpdated
	if k.seen.known == k.told.known && k.seen.healthy == k.told.healthy {
		reason = offer.ReasonTaskCheckStatusUpdated
	}
	st := c.report(t, offer.Running, reason, k.why)
	st.Source = offer.SourceExecutor
	c.update(t, st, nil)
}

// attach adds what is known to a status. Of health a terminal one says only whether it was what the task was killed for.
func (k *checks) attach(t *task, st *offer.Status) {
	k.told = k.seen
	if t.info.Check != nil {
		result := k.seen.result
		st.Check = &result
	}
	healthy, known := k.seen.healthy, k.seen.known
	if st.State.Terminal() {
		healthy, known = false, t.kill != nil && t.kill.reason == offer.ReasonTaskHealthCheckStatusUpdated
	}
	if known {
		st.Healthy = &healthy
	}
}

// replayChecks takes what was told from the journal.
func (k *checks) replay(st *offer.Status) {
	if k == nil || st.State.Terminal() {
		return
	}
	k.seen.known, k.seen.healthy = st.Healthy != nil, st.Healthy != nil && *st.Healthy
	if st.Check != nil {
		k.seen.result = *st.Check
	}
	k.told = k.seen
}

// verify checks that each check of a task that runs is due, waits or is under way, and that there are none of any other.
func (k *checks) verify(c *Core, t *task) error {
	if k == nil {
		return nil
	}
	active := t.phase == phaseRunning && t.kill == nil
	for _, p := range [...]*probing{&k.health, &k.check} {
		n := 0
		for _, is := range [...]bool{p.timer.armed(), p.waiting, p.probe != 0} {
			if is {
				n++
			}
		}
		switch {
		case active && p.spec != nil && n != 1:
			return fmt.Errorf("a check is due, waits and is under way %d times instead of once", n)
		case (!active || p.spec == nil) && n != 0:
			return fmt.Errorf("a check goes on in phase %s", phaseNames[t.phase])
		case p.probe != 0 && (c.probes[p.probe] == nil || c.probes[p.probe].task != t):
			return fmt.Errorf("probe %d is not known", p.probe)
		}
	}
	return nil
}

func (c *Core) verifyProbes() error {
	waiting, under := 0, 0
	for f := range c.frameworks.all {
		under += f.probing
		for _, x := range f.turns {
			if x.task.checks.of(x.health).waiting && f.probing < max(1, c.cfg.MaxProbes/2) {
				waiting++
			}
		}
	}
	switch {
	case len(c.probes) > c.cfg.MaxProbes:
		return fmt.Errorf("%d probes are under way (allowed: %d)", len(c.probes), c.cfg.MaxProbes)
	case under > len(c.probes):
		return fmt.Errorf("%d probes are under way, but %d are counted", len(c.probes), under)
	case waiting > 0 && len(c.probes) < c.cfg.MaxProbes:
		return fmt.Errorf("%d checks wait although %d probes are under way", waiting, len(c.probes))
	}
	return nil
}
