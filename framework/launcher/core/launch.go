package core

import (
	"slices"
	"strconv"
	"strings"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// accept launches what was placed on a slot.
func (c *Core) accept(s *slot) {
	tasks := make([]offer.Task, 0, len(s.launches))
	for i := range s.launches {
		l := &s.launches[i]
		m := l.m
		u := m.unit
		if m.at.Task == "" { // the first member that is launched begins the attempt of its unit
			u.attempt++
			u.silentAt = c.now.Add(c.cfg.Silence)
			for _, other := range u.members {
				other.at.Task, other.at.Attempt = attemptID(other.task.Task.ID, u.attempt), u.attempt
			}
		}
		m.at.Ports = slices.Collect(l.ports.Values())
		m.begin()
		c.attempts[m.at.Task] = m
		c.tell(m.outcome(Launching))
		tasks = append(tasks, m.launched(l))
		c.ring(u)
	}
	c.effect(Accept{Offers: s.offers, Tasks: tasks, Refuse: c.refuseFor(c.roles[s.role])})
}

// begin forgets the attempt before.
func (m *member) begin() {
	m.state, m.last, m.heard, m.ran, m.gone, m.ending = offer.Staging, offer.UUID{}, false, false, false, false
	m.status = offer.Status{}
	if m.old != nil {
		m.old.member, m.old = nil, nil
	}
}

// launched is the task as it is launched.
func (m *member) launched(l *launch) offer.Task {
	t := m.task.Task
	t.ID, t.SlaveID, t.Resources = m.at.Task, "", l.found
	if len(l.ports) == 0 || t.Command == nil {
		return t
	}
	command := *t.Command
	command.Environment = append(slices.Clone(command.Environment), portVariables(l.ports)...)
	t.Command = &command
	return t
}

func portVariables(ports resource.Ranges) []offer.Variable {
	var out []offer.Variable
	var all []string
	for p := range ports.Values() {
		text := strconv.FormatUint(p, 10)
		out = append(out, offer.Variable{Name: "PORT" + strconv.Itoa(len(all)), Value: text})
		all = append(all, text)
	}
	return append(out, offer.Variable{Name: "PORT", Value: all[0]}, offer.Variable{Name: "PORTS", Value: strings.Join(all, ",")})
}

// notLaunched takes an Accept that the session refused for what it is: tasks that are wrong.
func (c *Core) notLaunched(ev NotLaunched) {
	for _, t := range ev.Tasks {
		c.updated(&offer.Status{TaskID: t.ID, State: offer.Error, Source: offer.SourceMaster, Reason: offer.ReasonTaskInvalid, Message: ev.Why, Time: c.now})
	}
}
