package core

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A model is a cluster that does what it is told, and keeps account of it by the plainest means.
type model struct {
	t      *rapid.T
	c, too *Core // the second one gets the same events
	now    time.Time
	n      int
	out    map[offer.OfferID]offer.Offer // outstanding
	tasks  map[offer.TaskID]*modelTask   // submitted and not ended
	live   map[offer.TaskID]*modelTask   // by attempt
	groups map[string]int                // members
}

type modelTask struct {
	spec  Task
	group string
	at    Placed
	live  bool
}

func TestWhateverHappensTheRulesHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{t: t, now: time.Unix(1_000_000, 0), out: map[offer.OfferID]offer.Offer{}, tasks: map[offer.TaskID]*modelTask{},
			live: map[offer.TaskID]*modelTask{}, groups: map[string]int{}}
		cfg := Config{Gather: time.Duration(m.pick(2)*10-1) * time.Millisecond, Work: 1 + m.pick(30), Look: 1 + m.pick(8), Roles: []string{"*", "batch"},
			Policy: Policy(m.pick(4)), Retry: Retry{Failures: m.pick(3) - 1}, Hold: time.Duration(1+m.pick(10)) * time.Second}
		var err error
		m.c, err = New(cfg)
		require.NoError(t, err)
		m.too, err = New(cfg)
		require.NoError(t, err)
		m.step(Subscribed{})
		for range 10 + m.pick(40) {
			m.something()
		}
	})
}

func (m *model) pick(n int) int { return rapid.IntRange(0, n-1).Draw(m.t, "n") }

func (m *model) something() {
	switch m.pick(12) {
	case 0, 1, 2:
		for range 1 + m.pick(5) {
			m.n++
			m.step(Submitted{Task: m.task(fmt.Sprint("t", m.n), m.pick(3)-1)})
		}
	case 3:
		m.group()
	case 4, 5, 6, 7:
		m.offers()
	case 8:
		if a := m.any(); a != nil {
			states := []offer.State{offer.Running, offer.Running, offer.Finished, offer.Failed, offer.Gone, offer.Dropped, offer.Unreachable, offer.Error}
			m.step(Updated{Status: offer.Status{TaskID: a.at.Task, SlaveID: a.at.Slave, State: states[m.pick(len(states))]}})
		}
	case 9:
		if len(m.tasks) > 0 {
			m.step(Killed{ID: string(m.sorted(m.tasks)[m.pick(len(m.tasks))])})
		}
	case 10:
		var ids []offer.OfferID
		for id := range m.out {
			ids = append(ids, id)
		}
		if slices.Sort(ids); len(ids) > 0 {
			id := ids[m.pick(len(ids))]
			delete(m.out, id)
			m.step(Rescinded{Offers: []offer.OfferID{id}})
		} else if m.pick(4) == 0 {
			m.step(Disconnected{})
			m.step(Subscribed{})
		}
	case 11:
		m.now = m.now.Add(time.Duration(m.pick(5000)) * time.Millisecond)
		m.step(Tick{})
	}
}

func (m *model) sorted(of map[offer.TaskID]*modelTask) []offer.TaskID {
	var ids []offer.TaskID
	for id := range of {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (m *model) any() *modelTask {
	if len(m.live) == 0 {
		return nil
	}
	return m.live[m.sorted(m.live)[m.pick(len(m.live))]]
}

// setConstraints are those of the sets: all tasks of a set have the same.
var setConstraints = []Constraint{{Field: "hostname", Op: Unique}, {Field: "rack", Op: MaxPer, Value: "2"}, {Field: "rack", Op: Cluster}, {Field: "rack", Op: Like, Value: "r[01]"},
	{Field: "rack", Op: GroupBy, Value: "3"}, {Field: "rack", Op: Unlike, Value: "r0"}, {Field: "rack", Op: Is, Value: "r2"}}

func (m *model) task(id string, priority int) Task {
	text := fmt.Sprintf("cpus:%d;mem:%d", 1+m.pick(4), 10*(1+m.pick(5)))
	if m.pick(6) == 0 {
		text += fmt.Sprintf(";ports:[%d-%d]", 100+m.pick(10), 110)
	}
	t := Task{Task: offer.Task{ID: offer.TaskID(id), Resources: resource.Must(text), Command: &offer.Command{Value: "true"}}, Priority: priority,
		Policy: Policy(m.pick(4)), Ports: max(m.pick(6)-3, 0)}
	if m.pick(2) == 0 {
		set := m.pick(len(setConstraints))
		t.Set, t.Constraints = fmt.Sprint("set", set), setConstraints[set:set+1]
	}
	if m.pick(4) == 0 {
		t.Role = "batch"
	}
	return t
}

func (m *model) group() {
	m.n++
	g := Group{ID: fmt.Sprint("g", m.n), Priority: m.pick(3) - 1}
	for i := range 1 + m.pick(4) {
		t := m.task(fmt.Sprint("g", m.n, "-", i), 0)
		t.Role = ""
		g.Tasks = append(g.Tasks, t)
	}
	m.step(SubmittedGroup{Group: g})
}

func (m *model) offers() {
	var offers []offer.Offer
	for range 1 + m.pick(6) {
		m.n++
		s := m.pick(8)
		o := offer.Offer{ID: offer.OfferID(fmt.Sprint("o", m.n)), SlaveID: offer.SlaveID(fmt.Sprint("s", s)), Hostname: fmt.Sprint("h", s), Role: "*",
			Resources: resource.Must(fmt.Sprintf("cpus:%d;mem:%d;ports:[100-%d]", 1+m.pick(8), 10*(1+m.pick(10)), 100+m.pick(12)))}
		if m.pick(3) == 0 {
			o.Resources = o.Resources.Add(resource.Resources{{Name: resource.CPUs, Scalar: resource.Units(2),
				Reservations: []resource.Reservation{{Role: "batch", Type: resource.Dynamic}}}})
			o.Role = "batch"
		}
		if s < 7 {
			o.Attributes = []offer.Attribute{{Name: "rack", Text: fmt.Sprint("r", s%4)}}
		}
		offers = append(offers, o)
		m.out[o.ID] = o
	}
	m.step(Offered{Offers: offers})
}

// step does a step on both cores, and looks at everything that came of it.
func (m *model) step(ev Event) {
	effects, same := m.c.Step(m.now, ev, nil), m.too.Step(m.now, ev, nil)
	require.Equal(m.t, len(effects), len(same))
	for i := range effects {
		require.Equal(m.t, show(effects[i]), show(same[i]), "the same events must give the same effects")
	}
	require.NoError(m.t, m.c.Check())
	switch ev := ev.(type) {
	case Submitted:
		m.tasks[ev.Task.Task.ID] = &modelTask{spec: ev.Task}
	case SubmittedGroup:
		for _, t := range ev.Group.Tasks {
			m.tasks[t.Task.ID] = &modelTask{spec: t, group: ev.Group.ID}
		}
		m.groups[ev.Group.ID] = len(ev.Group.Tasks)
	case Disconnected:
		clear(m.out)
	}
	launched := map[string]int{}
	for _, e := range effects {
		switch e := e.(type) {
		case Tell:
			m.told(e.Outcome, launched)
		case Decline:
			for _, id := range e.Offers {
				m.use(id)
			}
		case Accept:
			var sum resource.Resources
			for _, id := range e.Offers {
				sum = sum.Add(m.use(id).Resources)
			}
			for _, t := range e.Tasks {
				rest, ok := sum.Sub(t.Resources)
				require.True(m.t, ok, "%s does not fit into %s", t.Resources, sum)
				sum = rest
				m.granted(&t)
			}
		case Refused:
			_, kill := ev.(Killed)
			require.True(m.t, kill, "%v", e.Refusal)
		}
	}
	for group, n := range launched {
		require.Equal(m.t, m.groups[group], n, "group %s was launched in part", group)
	}
	m.constraints()
	if m.c.run == nil && m.c.hold.unit == nil && m.c.book.due.IsZero() {
		require.Empty(m.t, m.out, "offers are held for nothing")
	}
}

func (m *model) use(id offer.OfferID) offer.Offer {
	o, ok := m.out[id]
	require.True(m.t, ok, "offer %s was used twice, or is not valid", id)
	delete(m.out, id)
	return o
}

func (m *model) told(o Outcome, launched map[string]int) {
	t := m.tasks[o.Task]
	switch o.Kind {
	case Launching:
		require.NotNil(m.t, t)
		require.False(m.t, t.live, "%s has two attempts", o.Task)
		t.at, t.live = o.Placed, true
		m.live[o.Placed.Task] = t
		if t.group != "" {
			launched[t.group]++
		}
	case Returned:
		t.at, t.live = o.Placed, true
		m.live[o.Placed.Task] = t
	case Changed:
		if o.Status.State.Terminal() {
			t.live = false
			delete(m.live, o.Placed.Task)
		}
	case Retrying, Replacing:
		t.live = false
		delete(m.live, o.Placed.Task)
	case Ended:
		require.NotNil(m.t, t, "%s has ended twice", o.Task)
		t.live = false
		delete(m.live, o.Placed.Task)
		delete(m.tasks, o.Task)
	}
}

// granted checks that a task has what it asked for, in names and amounts.
func (m *model) granted(t *offer.Task) {
	spec := m.live[t.ID].spec
	require.Equal(m.t, spec.Task.Resources.CPUs(), t.Resources.CPUs())
	require.Equal(m.t, spec.Task.Resources.Mem(), t.Resources.Mem())
	asked := spec.Task.Resources.Ports()
	require.True(m.t, t.Resources.Ports().Contains(asked))
	require.Equal(m.t, asked.Count()+uint64(spec.Ports), t.Resources.Ports().Count())
	require.Len(m.t, m.live[t.ID].at.Ports, spec.Ports)
}

// constraints holds every set against its constraint.
func (m *model) constraints() {
	racks := make([]map[string]int, len(setConstraints))
	for i := range racks {
		racks[i] = map[string]int{}
	}
	for _, t := range m.live {
		if t.spec.Set == "" {
			continue
		}
		i := slices.Index(setConstraints, t.spec.Constraints[0])
		v := valueOf(normalField(t.spec.Constraints[0].Field), t.at.Hostname, t.at.Domain, t.at.Attributes)
		require.True(m.t, v.known || setConstraints[i].Op == Unlike, "%s is where there is no %s", t.at.Task, setConstraints[i].Field)
		racks[i][v.text]++
	}
	for i, con := range setConstraints {
		for value, n := range racks[i] {
			switch con.Op {
			case Unique:
				require.Equal(m.t, 1, n, "%s: %s", con, value)
			case MaxPer:
				require.LessOrEqual(m.t, n, 2, "%s: %s", con, value)
			case Cluster:
				require.Len(m.t, racks[i], 1, "%s", con)
			case Like:
				require.Contains(m.t, []string{"r0", "r1"}, value)
			case Unlike:
				require.NotEqual(m.t, "r0", value)
			case Is:
				require.Equal(m.t, "r2", value)
			case GroupBy:
				require.LessOrEqual(m.t, len(racks[i]), 3, "%s", con)
			}
		}
	}
}

func normalField(f string) string {
	if f == "hostname" {
		return FieldHostname
	}
	return f
}

// TestWhatFitsIsPlaced compares a single run with a search of everything by everything.
func TestWhatFitsIsPlaced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }
		c, err := New(Config{Gather: -1, Look: 1 + pick(10)})
		require.NoError(t, err)
		c.Step(time.Unix(1000, 0), Subscribed{}, nil)
		specs := map[offer.TaskID]Task{}
		for i := range 1 + pick(60) {
			x := Task{Task: offer.Task{ID: offer.TaskID(fmt.Sprint("t", i)), Resources: resource.Must(fmt.Sprintf("cpus:%d;mem:%d", 1+pick(3), 1+pick(3))), Command: &offer.Command{Value: "true"}},
				Policy: Policy(1 + pick(3)), Set: fmt.Sprint("set", pick(3))}
			if pick(2) == 0 {
				x.Constraints = []Constraint{{Field: "rack", Op: []Operator{Is, Like, Unlike}[pick(3)], Value: fmt.Sprint("r", pick(4))}}
			}
			specs[x.Task.ID] = x
			c.Step(time.Unix(1000, 0), Submitted{Task: x}, nil)
		}
		var offers []offer.Offer
		left := map[offer.OfferID]resource.Resources{}
		for i := range 1 + pick(60) {
			o := offer.Offer{ID: offer.OfferID(fmt.Sprint("o", i)), SlaveID: offer.SlaveID(fmt.Sprint("s", i)), Hostname: fmt.Sprint("h", i), Role: "*",
				Resources: resource.Must(fmt.Sprintf("cpus:%d;mem:%d", 1+pick(6), 1+pick(6))), Attributes: []offer.Attribute{{Name: "rack", Text: fmt.Sprint("r", pick(5))}}}
			offers = append(offers, o)
			left[o.ID] = o.Resources
		}
		for _, e := range c.Step(time.Unix(1000, 0), Offered{Offers: offers}, nil) {
			if a, is := e.(Accept); is {
				for _, x := range a.Tasks {
					rest, ok := left[a.Offers[0]].Sub(x.Resources)
					require.True(t, ok)
					left[a.Offers[0]] = rest
					delete(specs, x.ID)
				}
			}
		}
		for _, x := range specs {
			for _, o := range offers {
				if len(x.Constraints) > 0 {
					r, err := x.Constraints[0].compile()
					require.NoError(t, err)
					if !r.passes(value{o.Attributes[0].Text, true}, 0, nil, 0) {
						continue
					}
				}
				require.False(t, left[o.ID].Contains(x.Task.Resources), "%s waits (%v), and %s is left of %s", x.Task.ID, x.Constraints, left[o.ID], o.ID)
			}
		}
	})
}
