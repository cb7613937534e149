package core

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meros-project/meros/offer"
)

// Check reports the first thing about the core that does not fit together. It is for tests.
func (c *Core) Check() error {
	waits := map[string]int{}
	slaves, live := map[offer.SlaveID]int{}, 0
	for _, u := range c.sorted() {
		_, queued := c.queue.Get(u)
		if queued != (u.phase == waiting) {
			return fmt.Errorf("unit %s is %s, and in the queue: %v", u.id, phases[u.phase], queued)
		}
		if queued {
			waits[u.role]++
		}
		if _, rings := c.alarms.Get(u); rings != !u.alarm.IsZero() {
			return fmt.Errorf("unit %s has an alarm at %v, and is among the alarms: %v", u.id, u.alarm, rings)
		}
		for _, m := range u.members {
			if c.tasks[m.task.Task.ID] != m {
				return fmt.Errorf("task %s is not found", m.task.Task.ID)
			}
			_, counted := m.set.placed[m]
			if runs := u.phase == placed && !m.gone; runs != counted {
				return fmt.Errorf("task %s runs: %v, and is counted in its set: %v", m.task.Task.ID, runs, counted)
			}
			if counted {
				slaves[m.at.Slave]++
				if m.at.Task != "" {
					live++
					if c.attempts[m.at.Task] != m {
						return fmt.Errorf("attempt %s is not found", m.at.Task)
					}
				}
			}
			if m.old != nil && m.old.member != m {
				return fmt.Errorf("task %s has an old attempt %s that is another's", m.task.Task.ID, m.old.at.Task)
			}
		}
	}
	if live != len(c.attempts) {
		return fmt.Errorf("%d attempts live, and %d are known", live, len(c.attempts))
	}
	for _, r := range c.order {
		if r.waiting != waits[r.name] {
			return fmt.Errorf("role %s counts %d units that wait, of %d", r.name, r.waiting, waits[r.name])
		}
	}
	if len(slaves) != len(c.slaves) {
		return fmt.Errorf("%d slaves have attempts, and %d are known", len(slaves), len(c.slaves))
	}
	for id, n := range slaves {
		if c.slaves[id] != n {
			return fmt.Errorf("slave %s has %d attempts, and %d are counted", id, n, c.slaves[id])
		}
	}
	return c.checkOffers()
}

func (c *Core) checkOffers() error {
	n := 0
	for _, s := range c.book.list {
		n += len(s.offers)
		if c.run == nil && s.dead {
			return fmt.Errorf("the offers of %s are rescinded, and in the book", s.slave)
		}
		if c.run == nil && c.hold.unit == nil && c.book.due.IsZero() {
			return fmt.Errorf("the offers %v are held for nobody", s.offers)
		}
	}
	if c.run == nil && n != len(c.book.by) {
		return fmt.Errorf("%d offers are in the book, and %d are found by id", n, len(c.book.by))
	}
	return nil
}

// Describe prints the state, for scenarios and for operators.
func (c *Core) Describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d tasks, %d attempts, %d strays, %d offers at hand, %d delays\n", len(c.tasks), len(c.attempts), len(c.strays), len(c.book.by), len(c.backoffs))
	for _, u := range c.sorted() {
		kind := "task"
		if u.group {
			kind = "group"
		}
		fmt.Fprintf(&b, "%s %s %s, attempt %d, failures %d, losses %d\n", kind, u.id, phases[u.phase], u.attempt, u.failures, u.losses)
		if u.phase != placed {
			continue
		}
		for _, m := range u.members {
			state := m.state.String()
			if m.gone {
				state += ", over"
			}
			fmt.Fprintf(&b, "  %s on %s %s\n", m.at.Task, m.at.Slave, state)
		}
	}
	var strays []string
	for id, s := range c.strays {
		strays = append(strays, fmt.Sprintf("stray %s on %s\n", id, s.at.Slave))
	}
	slices.Sort(strays)
	b.WriteString(strings.Join(strays, ""))
	return b.String()
}
