package frameworktest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/meros-project/meros/offer"
)

// An Expectation is something that must be true of a framework in the end. Run waits for it; Framework.Expect asks at once.
type Expectation struct {
	name   string
	check  func(f *Framework) error
	safety bool // once broken, it stays so
}

// Expect fails the test if something is not true now.
func (f *Framework) Expect(expect ...Expectation) {
	f.c.t.Helper()
	if failed, _ := f.failures(expect); len(failed) > 0 {
		f.c.fatal("%s", strings.Join(failed, "\n\t"))
	}
}

// failures are what is not true now; hopeless says that something will never be.
func (f *Framework) failures(expect []Expectation) (failed []string, hopeless bool) {
	for _, e := range expect {
		if err := e.check(f); err != nil {
			failed = append(failed, e.name+": "+err.Error())
			hopeless = hopeless || e.safety
		}
	}
	return failed, hopeless
}

// each makes a check of each task that the scheduler has launched; it names the first that fails, and how many do.
func each(check func(f *Framework, t *task) error) func(f *Framework) error {
	return func(f *Framework) error {
		var first error
		n := 0
		for _, t := range f.order {
			if err := check(f, t); err != nil {
				n++
				if first == nil {
					first = fmt.Errorf("task %s %w", t.task, err)
				}
			}
		}
		if n > 1 {
			return fmt.Errorf("%w; and %d more of %d", first, n-1, len(f.order))
		}
		return first
	}
}

// AllFinished expects that the scheduler has launched something, and was told of each task that it has finished. It is for Calm, and for kinds
// of trouble in which no launch is lost and no task is killed, such as SlowDisks and DatesJump. In others some tasks are dropped before they
// start, or end with their machine, and the scheduler must try again: Finished counts what was done in the end.
func AllFinished() Expectation {
	finished := each(func(_ *Framework, t *task) error {
		if t.told == offer.Finished {
			return nil
		}
		return fmt.Errorf("is %s", t.told)
	})
	return Expectation{name: "AllFinished", check: func(f *Framework) error {
		if len(f.order) == 0 {
			return errors.New("nothing was launched")
		}
		return finished(f)
	}}
}

// Finished expects that the scheduler was told of at least n tasks that they have finished.
func Finished(n int) Expectation {
	return Expectation{name: fmt.Sprintf("Finished(%d)", n), check: func(f *Framework) error {
		states, finished := map[offer.State]int{}, 0
		for _, t := range f.order {
			states[t.told]++
			if t.told == offer.Finished {
				finished++
			}
		}
		if finished >= n {
			return nil
		}
		return fmt.Errorf("%d have finished; by state %v", finished, states)
	}}
}

// NoDuplicate expects that no task id was started twice, as the machines know it.
func NoDuplicate() Expectation {
	return Expectation{name: "NoDuplicate", safety: true, check: each(func(f *Framework, t *task) error {
		if n := f.life(t).Starts; n > 1 {
			return fmt.Errorf("was started %d times", n)
		}
		return nil
	})}
}

// NoDuplicateOf expects that no two tasks of the same job have succeeded, which is exit status 0 on the machine, whether or not the scheduler
// was told. Job says which job a task is of: it is for schedulers that try again under another id.
func NoDuplicateOf(job func(offer.TaskID) string) Expectation {
	return Expectation{name: "NoDuplicateOf", safety: true, check: func(f *Framework) error {
		by := map[string]offer.TaskID{}
		for _, t := range f.order {
			j, n := job(t.task), f.life(t).Succeeded
			if other, done := by[j]; done && n > 0 {
				return fmt.Errorf("job %s was done by task %s and by task %s", j, other, t.task)
			}
			switch {
			case n > 1:
				return fmt.Errorf("job %s was done %d times by task %s", j, n, t.task)
			case n == 1:
				by[j] = t.task
			}
		}
		return nil
	}}
}

// StartedWithin expects that each task's process was started on a machine at most d after the call that launched it, the time in which
// faults strike (Trouble) not counted. Tasks that have ended without a start, because the launch was lost or refused, do not count.
func StartedWithin(d time.Duration) Expectation {
	return Expectation{name: fmt.Sprintf("StartedWithin(%v)", d), safety: true, check: each(func(f *Framework, t *task) error {
		began := f.life(t).Began
		if started := !began.Before(t.launched); started { // and not an earlier launch of the same id
			if took := f.c.calm(t.launched, began); took > d {
				return fmt.Errorf("took %v to start", took)
			}
		} else if waits := f.c.calm(t.launched, f.c.Now()); !t.told.Terminal() && waits > d {
			return fmt.Errorf("has not started for %v", waits)
		}
		return nil
	})}
}

// NothingLeft expects that no process of the framework's tasks runs on any machine.
func NothingLeft() Expectation {
	return Expectation{name: "NothingLeft", check: each(func(f *Framework, t *task) error {
		if f.life(t).Running {
			return errors.New("still runs")
		}
		return nil
	})}
}

// Converged expects that a master leads, every slave is registered, every framework that has not ended is subscribed, and each was told
// everything that the slaves know of its tasks.
func Converged() Expectation {
	return Expectation{name: "Converged", check: func(f *Framework) error {
		if why := f.c.world.Unsettled(); why != "" {
			return errors.New(why)
		}
		return nil
	}}
}

// Ended expects that the scheduler has ended its session with a Teardown. A session that ends with an error fails the test without being
// asked.
func Ended() Expectation {
	return Expectation{name: "Ended", check: func(f *Framework) error {
		if _, ended := f.Ended(); !ended {
			return errors.New("the session goes on")
		}
		return nil
	}}
}

// Holds expects something of the test's own. What says it in words; cond gets the framework, whose Scheduler is the one of this run.
func Holds(what string, cond func(f *Framework) bool) Expectation {
	return Expectation{name: "Holds", check: func(f *Framework) error {
		if cond(f) {
			return nil
		}
		return errors.New("not so: " + what)
	}}
}
