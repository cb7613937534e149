package sim

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// WhatIf is what is changed in a cluster to see what comes of it.
type WhatIf struct {
	Drain      []offer.SlaveID
	Quotas     []Quota
	Frameworks []Newcomer
	For        time.Duration // how long is waited for the outcome, in the cluster's time. Defaults to 30 min
}

// Quota is what a role is to be guaranteed and may have at most, instead of what it had.
type Quota struct {
	Role             string
	Guarantee, Limit resource.Quantities
}

// Newcomer is a framework that is added, which wants to run Count tasks of the size Each.
type Newcomer struct {
	Name, Role string
	Count      int
	Each       resource.Resources
}

// A Fate is what becomes of a task that was displaced, or that a newcomer wants to run.
type Fate struct {
	Task      offer.TaskID
	Framework offer.FrameworkID
	Role      string
	Resources resource.Resources // its scalars, which are placed again
	From      offer.SlaveID      // empty for a newcomer's
	To        offer.SlaveID      // empty while it waits
	After     time.Duration      // from the change until it was launched there
}

// Consequences are the outcome of a WhatIf.
type Consequences struct {
	Displaced []Fate   // in the order in which they were
	Added     []Fate   // of newcomers
	Refused   []string // changes that the master has refused, and why
	Staying   int      // tasks that still run on slaves that are to be drained
	Took      time.Duration
}

// Try plays what-if with a core, as it was restored from a recording: all registry writes succeed at once; slaves that are connected do what
// they are told, at once; and frameworks that are connected launch again what they lose, task by task, wherever they are offered enough of
// the same scalars in the same role, and decline everything else. Who is not connected stays away. The core is used up.
func Try(core *mastercore.Core, now time.Time, w WhatIf) (*Consequences, error) {
	p := &players{core: core, now: now, began: now, bySlave: map[mastercore.ConnID]offer.SlaveID{}, byFramework: map[mastercore.ConnID]*player{},
		byID: map[offer.FrameworkID]*player{}, drained: map[offer.SlaveID]bool{}, calls: map[uint64]string{}, out: &Consequences{}}
	_, p.lastFramework = core.LastNumbers()
	if err := p.seat(w); err != nil {
		return nil, err
	}
	p.change(w)
	p.play(now.Add(cmp.Or(w.For, 30*time.Minute)))
	for _, id := range w.Drain {
		for range core.View().TasksOn(id) {
			p.out.Staying++
		}
	}
	p.out.Took = p.now.Sub(now)
	p.report()
	return p.out, nil
}

// players are everybody but the master.
type players struct {
	core        *mastercore.Core
	now, began  time.Time
	queue       []mastercore.Event
	bySlave     map[mastercore.ConnID]offer.SlaveID
	byFramework map[mastercore.ConnID]*player
	byID        map[offer.FrameworkID]*player
	order       []*player
	drained     map[offer.SlaveID]bool
	calls       map[uint64]string // what was asked for, by token

	lastFramework, lastUUID uint64
	out                     *Consequences
}

// player is one framework.
type player struct {
	id    offer.FrameworkID
	conn  mastercore.ConnID
	wants []*Fate // placed and not
	came  bool    // a newcomer
}

// firstNewConn is above any connection of a recording.
const firstNewConn = mastercore.ConnID(1) << 60

// firstToken is above any operator's call of a recording.
const firstToken = uint64(1) << 60

// seat finds who is there, and what is under way.
func (p *players) seat(w WhatIf) error {
	v := p.core.View()
	for _, id := range w.Drain {
		if _, ok := v.Slave(id); !ok {
			return fmt.Errorf("slave %q is not known", id)
		}
		p.drained[id] = true
	}
	for f := range v.Frameworks() {
		if conn := p.core.FrameworkConn(f.ID); conn != 0 {
			p.enter(&player{id: f.ID, conn: conn})
		}
	}
	for _, c := range p.core.Pending() {
		p.commit(c)
	}
	for s := range v.Slaves() {
		if conn := p.core.SlaveConn(s.ID); conn != 0 {
			p.bySlave[conn] = s.ID
		}
	}
	for t := range v.Tasks() {
		if t.State == offer.Staging || t.State == offer.Starting {
			p.status(t.Slave, t.Framework, t.ID, offer.Running)
		}
	}
	open := map[offer.FrameworkID][]offer.Offer{}
	for o := range v.Offers() {
		open[o.FrameworkID] = append(open[o.FrameworkID], o)
	}
	for _, f := range p.order {
		p.offered(f, open[f.id])
	}
	return nil
}

func (p *players) enter(f *player) {
	p.byFramework[f.conn] = f
	if f.id != "" {
		p.byID[f.id] = f
	}
	p.order = append(p.order, f)
}

// change makes the changes, in the order of their kinds.
func (p *players) change(w WhatIf) {
	call := func(what string, m message.Operate) {
		token := firstToken + uint64(len(p.calls))
		p.calls[token] = what
		p.queue = append(p.queue, mastercore.Called{Token: token, Call: m})
	}
	for _, q := range w.Quotas {
		call("quota of role "+q.Role, message.Operate{Verb: message.VerbSetQuota, Role: q.Role, Guarantee: q.Guarantee, Limit: q.Limit})
	}
	for i, n := range w.Frameworks {
		f := &player{conn: firstNewConn + mastercore.ConnID(i), came: true}
		for k := range n.Count {
			f.wants = append(f.wants, &Fate{Task: offer.TaskID(fmt.Sprintf("%s-%d", n.Name, k+1)), Role: n.Role, Resources: n.Each})
		}
		p.enter(f)
		nonce := offer.UUID{0xff, 1}
		binary.BigEndian.PutUint64(nonce[8:], uint64(i)+1)
		p.queue = append(p.queue, mastercore.Received{Conn: f.conn, Message: &message.Subscribe{Nonce: nonce, Framework: offer.Framework{
			Name: n.Name, User: "nobody", Roles: []string{n.Role}, FailoverTimeout: time.Hour, Capabilities: offer.PartitionAware}}})
	}
	for _, id := range w.Drain {
		call("drain slave "+string(id), message.Operate{Verb: message.VerbDrain, Slave: id})
	}
}

// maxPlayed bounds the events of one Try.
const maxPlayed = 20_000_000

// play goes on until everybody has what they want, or it is time.
func (p *players) play(end time.Time) {
	for range maxPlayed {
		var ev mastercore.Event = mastercore.Tick{}
		if len(p.queue) > 0 {
			ev, p.queue = p.queue[0], p.queue[1:]
		} else {
			at := p.core.Deadline()
			if at.IsZero() || at.After(end) || p.settled() {
				return
			}
			if at.After(p.now) {
				p.now = at
			}
		}
		for _, e := range p.core.Step(p.now, ev, nil) {
			p.perform(e)
		}
	}
}

// settled reports whether nobody waits and drained slaves are empty.
func (p *players) settled() bool {
	for _, f := range p.order {
		if slices.ContainsFunc(f.wants, func(w *Fate) bool { return w.To == "" }) || f.came && f.id == "" {
			return false
		}
	}
	v := p.core.View()
	for id := range p.drained {
		if s, _ := v.Slave(id); s.Tasks > 0 || s.Drain == nil {
			return false
		}
	}
	return true
}

func (p *players) perform(e mastercore.Effect) {
	switch e := e.(type) {
	case mastercore.Propose:
		p.commit(e)
	case mastercore.Answer:
		if what, ok := p.calls[e.Token]; ok && e.Refusal != nil {
			p.out.Refused = append(p.out.Refused, what+": "+e.Refusal.Error())
		}
	case mastercore.Send:
		if id, ok := p.bySlave[e.Conn]; ok {
			p.slave(id, e.Conn, e.Message)
		} else if f := p.byFramework[e.Conn]; f != nil {
			p.framework(f, e.Message)
		}
	}
}

// commit has a write succeed.
func (p *players) commit(e mastercore.Propose) {
	results := make([]registry.Result, len(e.Commands))
	for i, c := range e.Commands {
		if _, ok := c.Op.(*registry.AdmitFramework); ok {
			p.lastFramework++
			results[i].Framework = offer.FrameworkID(fmt.Sprintf("f-%d", p.lastFramework))
		}
	}
	p.queue = append(p.queue, mastercore.Committed{Token: e.Token, Results: results})
}

// slave does what a slave does when it is told something.
func (p *players) slave(id offer.SlaveID, conn mastercore.ConnID, m message.Message) {
	switch m := m.(type) {
	case *message.Ping:
		p.queue = append(p.queue, mastercore.Received{Conn: conn, Message: &message.Pong{}})
	case *message.Launch:
		for i := range m.Tasks {
			p.status(id, m.Framework.ID, m.Tasks[i].ID, offer.Running)
		}
	case *message.Kill:
		p.status(id, m.Framework, m.Task, offer.Killed)
	case *message.Drain:
		if m.Config != nil {
			for t := range p.core.View().TasksOn(id) {
				p.status(id, t.Framework, t.ID, offer.Killed)
			}
		}
	}
}

// status has a slave tell of a task.
func (p *players) status(slave offer.SlaveID, framework offer.FrameworkID, task offer.TaskID, state offer.State) {
	conn := p.core.SlaveConn(slave)
	if conn == 0 {
		return
	}
	if state.Terminal() {
		p.displaced(slave, framework, task)
	}
	p.lastUUID++
	uuid := offer.UUID{0xff, 2}
	binary.BigEndian.PutUint64(uuid[8:], p.lastUUID)
	p.queue = append(p.queue, mastercore.Received{Conn: conn, Message: &message.StatusUpdate{Framework: framework, Latest: state,
		Status: &offer.Status{TaskID: task, SlaveID: slave, State: state, Source: offer.SourceSlave, UUID: uuid, Time: p.now}}})
}

// displaced has a framework want a task again that is about to end.
func (p *players) displaced(slave offer.SlaveID, framework offer.FrameworkID, task offer.TaskID) {
	f := p.byID[framework]
	for t := range p.core.View().TasksOn(slave) {
		if t.ID != task || t.Framework != framework {
			continue
		}
		fate := &Fate{Task: task, Framework: framework, Role: t.Role, Resources: scalars(t.Resources), From: slave}
		if f == nil { // its framework is away
			p.out.Displaced = append(p.out.Displaced, *fate)
			return
		}
		f.wants = append(f.wants, fate)
		p.queue = append(p.queue, mastercore.Received{Conn: f.conn, Message: &message.Revive{Roles: []string{t.Role}}})
		return
	}
}

// scalars leaves what can be had elsewhere: neither ports nor volumes nor what is reserved.
func scalars(r resource.Resources) resource.Resources {
	var out resource.Resources
	for _, e := range r {
		if e.Volume == nil && e.Scalar > 0 {
			out = out.Add(resource.Resources{resource.NewScalar(e.Name, e.Scalar)})
		}
	}
	return out
}

// framework does what a framework does when it is told something.
func (p *players) framework(f *player, m message.Message) {
	switch m := m.(type) {
	case *message.Subscribed:
		f.id = m.ID
		p.byID[m.ID] = f
		for _, w := range f.wants {
			w.Framework = m.ID
		}
	case *message.Error:
		p.out.Refused = append(p.out.Refused, fmt.Sprintf("framework %s: %s", f.id, m.Message))
	case *message.Offers:
		p.offered(f, m.Offers)
	case *message.Update:
		if m.Status.State.Terminal() { // one that was launched again did not come to run
			for _, w := range f.wants {
				if w.To != "" && again(w) == m.Status.TaskID {
					w.To = ""
				}
			}
		}
		if !m.Status.UUID.IsZero() {
			p.queue = append(p.queue, mastercore.Received{Conn: f.conn, Message: &message.Acknowledge{Slave: m.Status.SlaveID, Task: m.Status.TaskID,
				UUID: m.Status.UUID}})
		}
	}
}

// offered launches what fits and declines the rest: for a moment while something is still wanted, for longer otherwise.
func (p *players) offered(f *player, offers []offer.Offer) {
	for _, o := range offers {
		left := scalars(unreserved(o.Resources))
		var tasks []offer.Task
		for _, w := range f.wants {
			if w.To != "" || w.Role != o.Role || p.drained[o.SlaveID] || !left.Contains(w.Resources) {
				continue
			}
			left, _ = left.Sub(w.Resources)
			w.To, w.After = o.SlaveID, p.now.Sub(p.began)
			tasks = append(tasks, offer.Task{ID: again(w), Name: string(w.Task), Resources: w.Resources, Command: &offer.Command{Value: "true"}})
		}
		refuse := time.Hour
		if slices.ContainsFunc(f.wants, func(w *Fate) bool { return w.To == "" }) {
			refuse = time.Second
		}
		filter := offer.Filter{Refuse: refuse}
		var m message.Message = &message.Decline{Offers: []offer.OfferID{o.ID}, Filter: filter}
		if len(tasks) > 0 {
			m = &message.Accept{Last: true, Offers: []offer.OfferID{o.ID}, Operations: []offer.Operation{offer.Launch(tasks...)}, Filter: filter}
		}
		p.queue = append(p.queue, mastercore.Received{Conn: f.conn, Message: m})
	}
}

// again is the id under which a task is launched.
func again(w *Fate) offer.TaskID {
	if w.From != "" {
		return w.Task + "-again"
	}
	return w.Task
}

// unreserved is what of an offer a task that was displaced may use.
func unreserved(r resource.Resources) resource.Resources {
	return r.Filter(func(e resource.Resource) bool { return len(e.Reservations) == 0 && !e.Revocable })
}

func (p *players) report() {
	for _, f := range p.order {
		for _, w := range f.wants {
			if w.From != "" {
				p.out.Displaced = append(p.out.Displaced, *w)
			} else {
				p.out.Added = append(p.out.Added, *w)
			}
		}
	}
}
