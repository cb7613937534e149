package master_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func task(id string, rs resource.Resources) offer.Task {
	return offer.Task{ID: offer.TaskID(id), Resources: rs, Command: &offer.Command{Value: "true", Shell: true}}
}

func accept(ids []offer.OfferID, ops ...offer.Operation) *message.Accept {
	return &message.Accept{Last: true, Offers: ids, Operations: ops}
}

func TestAcceptsOfOffersThatAreNotTheirs(t *testing.T) {
	for name, offers := range map[string]func(a *arena, p *peer) []offer.OfferID{
		"none":    func(*arena, *peer) []offer.OfferID { return nil },
		"unknown": func(*arena, *peer) []offer.OfferID { return []offer.OfferID{"o-1-999999"} },
		"not an id": func(*arena, *peer) []offer.OfferID {
			return []offer.OfferID{"", "../../etc/passwd", "o-1--1", offer.OfferID(strings.Repeat("9", 100_000))}
		},
		"of an earlier reign": func(*arena, *peer) []offer.OfferID { return []offer.OfferID{"o-0-1"} },
		"rescinded": func(a *arena, p *peer) []offer.OfferID {
			o := p.offer("s-1")
			require.NoError(a.t, a.m.Deactivate(a.t.Context(), "s-1"))
			require.Equal(a.t, []offer.OfferID{o.ID}, next[*message.Rescind](p).Offers)
			require.NoError(a.t, a.m.Reactivate(a.t.Context(), "s-1"))
			return []offer.OfferID{o.ID}
		},
		"used before": func(_ *arena, p *peer) []offer.OfferID {
			o := p.offer("s-1")
			p.send(&message.Decline{Offers: []offer.OfferID{o.ID}})
			return []offer.OfferID{o.ID}
		},
		"named twice": func(_ *arena, p *peer) []offer.OfferID {
			o := p.offer("s-1")
			return []offer.OfferID{o.ID, o.ID}
		},
		"another framework's": func(a *arena, _ *peer) []offer.OfferID {
			other := a.dial()
			other.subscribe(offer.Framework{Name: "other", Roles: []string{"other"}})
			return []offer.OfferID{other.offer("s-1").ID}
		},
		"of two slaves": func(a *arena, p *peer) []offer.OfferID {
			s := a.dial()
			id := s.register(offer.Slave{Hostname: "second", Resources: resource.Must("cpus:2")})
			var ids []offer.OfferID
			seen := map[offer.SlaveID]bool{}
			for !seen["s-1"] || !seen[id] {
				for _, o := range next[*message.Offers](p).Offers {
					if !seen[o.SlaveID] {
						ids, seen[o.SlaveID] = append(ids, o.ID), true
					}
				}
			}
			return ids
		},
	} {
		attack(t, name, func(t *testing.T, a *arena) {
			p := a.dial()
			p.subscribe(offer.Framework{Name: "evil"})
			ids := offers(a, p)
			p.send(accept(ids, offer.Launch(task("bad-1", each), task("bad-2", each))))
			for _, id := range []offer.TaskID{"bad-1", "bad-2"} {
				st := next[*message.Update](p).Status
				require.Equal(t, id, st.TaskID)
				require.Equal(t, offer.Dropped, st.State)
				require.Equal(t, offer.ReasonInvalidOffers, st.Reason)
				require.NotEmpty(t, st.Message)
				require.Less(t, len(st.Message), 1000)
			}
		})
	}
}

func TestAcceptsOfOffersInTwoRoles(t *testing.T) {
	attack(t, "mixed", func(t *testing.T, a *arena) {
		s := a.dial()
		rs, err := resource.Parse("cpus(evil/a):2;cpus(evil/b):2")
		require.NoError(t, err)
		id := s.register(offer.Slave{Hostname: "second", Resources: rs})
		p := a.dial()
		p.subscribe(offer.Framework{Name: "evil", Roles: []string{"evil/a", "evil/b"}})
		byRole := map[string]offer.OfferID{}
		for len(byRole) < 2 {
			for _, o := range next[*message.Offers](p).Offers {
				if o.SlaveID == id {
					byRole[o.Role] = o.ID
				}
			}
		}
		p.send(accept([]offer.OfferID{byRole["evil/a"], byRole["evil/b"]}, offer.Launch(task("bad", resource.Must("cpus:1")))))
		st := next[*message.Update](p).Status
		require.Equal(t, offer.ReasonInvalidOffers, st.Reason)
		require.Contains(t, st.Message, "more than one role")
		require.Equal(t, offer.Dropped, st.State)
	})
}

func TestTasksThatCannotBeLaunched(t *testing.T) {
	ports := func(r ...resource.Range) resource.Resources {
		return resource.Resources{{Name: "ports", Type: resource.RangesType, Ranges: r}}
	}
	scalar := func(name string, n resource.Scalar) resource.Resources {
		return resource.Resources{{Name: name, Type: resource.ScalarType, Scalar: n}}
	}
	change := func(f func(*offer.Task)) offer.Task {
		x := task("bad", each)
		f(&x)
		return x
	}
	type want = offer.Reason
	invalid := offer.ReasonTaskInvalid
	for name, c := range map[string]struct {
		task offer.Task
		want want
	}{
		"more than offered":        {task("bad", resource.Must("cpus:100")), offer.ReasonInsufficient},
		"of another kind":          {task("bad", resource.Must("gpus:1")), offer.ReasonInsufficient},
		"ports not offered":        {task("bad", resource.Must("ports:[1-10]")), offer.ReasonInsufficient},
		"in another role":          {task("bad", resource.Must("cpus(other):1")), offer.ReasonInsufficient},
		"nothing":                  {task("bad", nil), invalid},
		"zero":                     {task("bad", scalar("cpus", 0)), invalid},
		"negative":                 {task("bad", scalar("cpus", -1000)), invalid},
		"the most negative":        {task("bad", scalar("cpus", -1<<63)), invalid},
		"absurd":                   {task("bad", scalar("cpus", 1<<63-1)), invalid},
		"overflowing sum":          {task("bad", append(scalar("cpus", resource.MaxScalar), scalar("cpus", resource.MaxScalar)...)), invalid},
		"negative beside positive": {task("bad", append(scalar("cpus", 2000), scalar("cpus", -1000)...)), invalid},
		"overlapping ports":        {task("bad", ports(resource.Range{Begin: 31000, End: 31010}, resource.Range{Begin: 31005, End: 31020})), invalid},
		"the same port twice":      {task("bad", append(ports(resource.Range{Begin: 31000, End: 31000}), ports(resource.Range{Begin: 31000, End: 31000})...)), invalid},
		"ports backwards":          {task("bad", ports(resource.Range{Begin: 31010, End: 31000})), invalid},
		"ports beyond the last":    {task("bad", ports(resource.Range{Begin: 0, End: 1<<64 - 1})), invalid},
		"a type that is not one":   {task("bad", resource.Resources{{Name: "cpus", Type: 77, Scalar: 1}}), invalid},
		"a resource without name":  {task("bad", scalar("", 1000)), invalid},
		"id with /":                {task("a/b", each), invalid},
		"id ..":                    {task("..", each), invalid},
		"id .":                     {task(".", each), invalid},
		"id up":                    {task("../../../../etc/cron.d/x", each), invalid},
		"id with \\":               {task(`a\b`, each), invalid},
		"id with NUL":              {task("a\x00b", each), invalid},
		"id with a line feed":      {task("a\nb", each), invalid},
		"id with DEL":              {task("a\x7f", each), invalid},
		"id of 256 bytes":          {task(strings.Repeat("x", 256), each), invalid},
		"id of a megabyte":         {task(strings.Repeat("x", 1<<20), each), invalid},
		"empty id":                 {task("", each), invalid},
		"id of blanks":             {task("  ", each), invalid},
		"command and executor":     {change(func(x *offer.Task) { x.Executor = &offer.Executor{ID: "e", Command: x.Command} }), invalid},
		"command and function":     {change(func(x *offer.Task) { x.Function = "f" }), invalid},
		"nothing to run":           {change(func(x *offer.Task) { x.Command = nil }), invalid},
		"an empty command":         {change(func(x *offer.Task) { x.Command = &offer.Command{} }), invalid},
		"executor id up":           {change(func(x *offer.Task) { x.Executor, x.Command = &offer.Executor{ID: "../x", Command: x.Command}, nil }), invalid},
		"executor with negative cpus": {change(func(x *offer.Task) {
			x.Executor, x.Command = &offer.Executor{ID: "e", Command: x.Command, Resources: scalar("cpus", -1)}, nil
		}), invalid},
		"executor that is too large": {change(func(x *offer.Task) {
			x.Executor, x.Command = &offer.Executor{ID: "e", Command: x.Command, Resources: resource.Must("cpus:50")}, nil
		}), offer.ReasonInsufficient},
		"executor without command":    {change(func(x *offer.Task) { x.Executor, x.Command = &offer.Executor{ID: "e"}, nil }), invalid},
		"another slave's":             {change(func(x *offer.Task) { x.SlaveID = "s-99" }), invalid},
		"a check of no kind":          {change(func(x *offer.Task) { x.Check = &offer.Check{Port: 80} }), invalid},
		"a check of no port":          {change(func(x *offer.Task) { x.Health = &offer.HealthCheck{Check: offer.Check{Kind: offer.CheckTCP}} }), invalid},
		"a check without rest":        {change(func(x *offer.Task) { x.Check = &offer.Check{Kind: offer.CheckTCP, Port: 80, Interval: 1} }), invalid},
		"an end before its beginning": {change(func(x *offer.Task) { x.MaxCompletion = -1 }), invalid},
		"limit below the request":     {change(func(x *offer.Task) { x.Limits = []offer.Limit{{Name: "cpus", Amount: 1}} }), invalid},
		"negative limit":              {change(func(x *offer.Task) { x.Limits = []offer.Limit{{Name: "cpus", Amount: -7}} }), invalid},
		"limit of no such thing":      {change(func(x *offer.Task) { x.Limits = []offer.Limit{{Name: "ports", Amount: 7}} }), invalid},
		"too many labels":             {change(func(x *offer.Task) { x.Labels = make([]resource.Label, 1000) }), offer.ReasonTooLarge},
		"too much data":               {change(func(x *offer.Task) { x.Data = make([]byte, 3<<20) }), offer.ReasonTooLarge},
	} {
		attack(t, name, func(t *testing.T, a *arena) {
			p := a.dial()
			p.subscribe(offer.Framework{Name: "evil"})
			o := p.offer("s-1")
			// The bad task is refused, and its neighbour starts.
			p.send(accept([]offer.OfferID{o.ID}, offer.Launch(c.task, task("good", each))))
			for good := false; !good; {
				st := next[*message.Update](p).Status
				if good = st.TaskID == "good"; good {
					require.Equal(t, offer.Running, st.State)
					p.send(&message.Acknowledge{Slave: "s-1", Task: "good", UUID: st.UUID}, &message.KillTask{Task: "good"})
					break
				}
				require.Equal(t, c.task.ID, st.TaskID)
				require.Equal(t, offer.Error, st.State)
				require.Equal(t, c.want, st.Reason, "%s", st.Message)
				require.NotEmpty(t, st.Message)
				require.Less(t, len(st.Message), 2000)
				require.True(t, st.UUID.IsZero())
			}
			require.Equal(t, offer.Killed, next[*message.Update](p).Status.State)
			p.send(&message.Teardown{})
			time.Sleep(time.Second)
			a.forgetGood()
		})
	}
}

// forgetGood takes out of what the slave heard that which the good task of a hostile framework called for.
func (a *arena) forgetGood() {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := a.toSlave[:0]
	for _, m := range a.toSlave {
		switch m := m.(type) {
		case *message.Kill:
			if m.Task == "good" {
				continue
			}
		case *message.FrameworkShutdown:
			if m.Framework != "f-1" {
				continue
			}
		}
		kept = append(kept, m)
	}
	a.toSlave = kept
}

func TestDuplicateTaskIDs(t *testing.T) {
	attack(t, "in one launch and in the next", func(t *testing.T, a *arena) {
		p := a.dial()
		p.subscribe(offer.Framework{Name: "evil"})
		o := p.offer("s-1")
		p.send(accept([]offer.OfferID{o.ID}, offer.Launch(task("good", each), task("good", each))))
		st := next[*message.Update](p).Status
		require.Equal(t, offer.ReasonDuplicateID, st.Reason)
		require.Equal(t, offer.Error, st.State)
		require.Equal(t, offer.Running, next[*message.Update](p).Status.State)
		p.send(&message.Revive{})
		o = p.offer("s-1")
		p.send(accept([]offer.OfferID{o.ID}, offer.Launch(task("good", each))))
		require.Equal(t, offer.ReasonDuplicateID, next[*message.Update](p).Status.Reason)
		require.Equal(t, 1, a.slave.started("good"))
		p.send(&message.Teardown{})
		time.Sleep(time.Second)
		a.forgetGood()
	})
	attack(t, "another framework's id is no duplicate", func(t *testing.T, a *arena) {
		p := a.dial()
		p.subscribe(offer.Framework{Name: "evil"})
		o := p.offer("s-1")
		p.send(accept([]offer.OfferID{o.ID}, offer.Launch(task("steady", each))))
		require.Equal(t, offer.Running, next[*message.Update](p).Status.State)
		p.send(&message.Teardown{})
		time.Sleep(time.Second)
		a.forgetGood()
	})
}

func TestGroupsThatCannotBeLaunched(t *testing.T) {
	group := func(e *offer.Executor, tasks ...offer.Task) offer.Operation {
		return offer.Operation{Kind: offer.OperationLaunchGroup, Tasks: tasks, Executor: e}
	}
	own := task("b", each)
	own.Executor = &offer.Executor{ID: "e", Command: own.Command}
	for name, op := range map[string]offer.Operation{
		"one is bad":              group(nil, task("a", each), task("..", each)),
		"one twice":               group(nil, task("a", each), task("a", each)),
		"too large together":      group(nil, task("a", resource.Must("cpus:2")), task("b", resource.Must("cpus:2"))),
		"one negative":            group(nil, task("a", each), task("b", resource.Resources{{Name: "cpus", Scalar: -1}})),
		"an executor of its own":  group(nil, task("a", each), own),
		"a bad executor id":       group(&offer.Executor{ID: "../../e", Default: true}, task("a", each)),
		"an executor too large":   group(&offer.Executor{ID: "e", Default: true, Resources: resource.Must("cpus:9")}, task("a", each)),
		"a command for a builtin": group(&offer.Executor{ID: "e", Default: true, Command: own.Command}, task("a", each)),
	} {
		attack(t, name, func(t *testing.T, a *arena) {
			p := a.dial()
			p.subscribe(offer.Framework{Name: "evil"})
			p.send(accept([]offer.OfferID{p.offer("s-1").ID}, op))
			for range op.Tasks {
				st := next[*message.Update](p).Status
				require.Equal(t, offer.Error, st.State)
				require.Equal(t, offer.ReasonTaskGroupInvalid, st.Reason)
				require.NotEmpty(t, st.Message)
			}
		})
	}
	for name, op := range map[string]offer.Operation{
		"an empty group":        group(nil),
		"an unknown operation":  {Kind: 99},
		"no operation at all":   {},
		"reserve negative":      offer.Reserve(resource.Resources{{Name: "cpus", Scalar: -1, Reservations: []resource.Reservation{{Role: "evil"}}}}),
		"unreserve the slave's": offer.Unreserve(resource.Must("cpus:1")),
		"reserve for others":    offer.Reserve(resource.Must("cpus(other):1")),
		"create out of nothing": offer.Create(resource.Resources{{Name: "disk", Scalar: 1000, Reservations: []resource.Reservation{{Role: "evil", Type: resource.Dynamic}},
			Volume: &resource.Volume{ID: "../../../../etc", ContainerPath: "/etc"}}}),
		"destroy what is not there": offer.Destroy(resource.Resources{{Name: "disk", Scalar: 1000, Volume: &resource.Volume{ID: "v"}}}),
	} {
		attack(t, name, func(t *testing.T, a *arena) {
			p := a.dial()
			p.subscribe(offer.Framework{Name: "evil"})
			p.send(accept([]offer.OfferID{p.offer("s-1").ID}, op))
			e := next[*message.Error](p)
			require.NotEqual(t, offer.ReasonNone, e.Reason)
			require.False(t, e.Final)
			op.ID = "op"
			p.send(&message.Revive{})
			p.send(accept([]offer.OfferID{p.offer("s-1").ID}, op))
			st := next[*message.OperationUpdate](p).Status
			require.Equal(t, offer.OperationError, st.State)
			require.NotEqual(t, offer.ReasonNone, st.Reason)
		})
	}
}

func TestWhatBelongsToOthersIsLeftAlone(t *testing.T) {
	attack(t, "their offers", func(t *testing.T, a *arena) {
		other := a.dial()
		other.subscribe(offer.Framework{Name: "other", Roles: []string{"other"}})
		o := other.offer("s-1")
		p := a.dial()
		p.subscribe(offer.Framework{Name: "evil"})
		p.send(&message.Decline{Offers: []offer.OfferID{o.ID, "o-1-77777", "x"}})
		p.refused(offer.ReasonInvalidOffers)
		other.send(accept([]offer.OfferID{o.ID}, offer.Launch(task("good", each)))) // it is still good
		require.Equal(t, offer.Running, next[*message.Update](other).Status.State)
		other.send(&message.Teardown{})
		time.Sleep(time.Second)
		a.forgetGood()
	})
	attack(t, "their tasks", func(t *testing.T, a *arena) {
		p := a.dial()
		p.subscribe(offer.Framework{Name: "evil"})
		for _, slave := range []offer.SlaveID{"", "s-1", "s-99", "../s-1"} {
			p.send(&message.KillTask{Task: "steady", Slave: slave})
			st := next[*message.Update](p).Status
			require.Equal(t, offer.TaskID("steady"), st.TaskID)
			require.Equal(t, offer.SourceMaster, st.Source)
			require.Contains(t, []offer.State{offer.Gone, offer.Unknown}, st.State)
			p.send(&message.Reconcile{Tasks: []message.TaskRef{{Framework: "f-1", Task: "steady", Slave: slave}}})
			require.Contains(t, []offer.State{offer.Gone, offer.Unknown}, next[*message.Update](p).Status.State)
		}
		p.send(&message.Acknowledge{Slave: "s-1", Task: "steady"})
		p.refused(offer.ReasonInvalidField)
	})
	attack(t, "their updates", func(t *testing.T, a *arena) {
		p := a.dial()
		p.subscribe(offer.Framework{Name: "evil"})
		p.send(&message.Acknowledge{Slave: "s-1", Task: "steady", UUID: offer.UUID{1}}, &message.Acknowledge{Slave: "s-9", Task: "../..", UUID: offer.UUID{1}},
			&message.AcknowledgeOperation{Slave: "s-1", Operation: "x", UUID: offer.UUID{1}})
		time.Sleep(time.Second)
		a.mu.Lock()
		kept := a.toSlave[:0]
		for _, m := range a.toSlave { // in the name of the hostile framework only, whom the slave runs nothing of
			if ack, ok := m.(*message.StatusAck); ok && ack.Framework == "f-2" {
				continue
			}
			if ack, ok := m.(*message.OperationAck); ok && ack.Framework == "f-2" {
				continue
			}
			kept = append(kept, m)
		}
		a.toSlave = kept
		a.mu.Unlock()
	})
	attack(t, "their executors", func(t *testing.T, a *arena) {
		p := a.dial()
		p.subscribe(offer.Framework{Name: "evil"})
		p.send(&message.ShutdownExecutor{Slave: "s-9", Executor: "../e"})
		p.refused(offer.ReasonSlaveDisconnected)
		p.send(&message.ToExecutor{Framework: "f-1", Slave: "s-9", Executor: "e", Data: []byte("x")})
		p.send(&message.Request{Role: "*"})
		p.refused(offer.ReasonInvalidField)
		p.send(&message.Revive{Roles: []string{"*"}})
		p.refused(offer.ReasonInvalidField)
		p.send(&message.Suppress{Roles: []string{"../x"}})
		p.refused(offer.ReasonInvalidField)
	})
}

func TestSubscriptionsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		f    offer.Framework
		want offer.Reason
	}{
		"a framework that never was":   {offer.Framework{Name: "x", ID: "f-77"}, offer.ReasonFrameworkUnknown},
		"an id that is none":           {offer.Framework{Name: "x", ID: "../../f-1"}, offer.ReasonFrameworkUnknown},
		"a long id":                    {offer.Framework{Name: "x", ID: offer.FrameworkID(strings.Repeat("f", 1<<20))}, offer.ReasonFrameworkUnknown},
		"another principal":            {offer.Framework{Name: "bystander", ID: "f-1", Principal: "mallory"}, offer.ReasonPrincipalChanged},
		"a role with a path":           {offer.Framework{Name: "x", Roles: []string{"../x"}}, offer.ReasonInvalidField},
		"a role twice":                 {offer.Framework{Name: "x", Roles: []string{"a", "a"}}, offer.ReasonInvalidField},
		"a control character":          {offer.Framework{Name: "x\n"}, offer.ReasonInvalidField},
		"a long name":                  {offer.Framework{Name: strings.Repeat("x", 1<<20)}, offer.ReasonInvalidField},
		"a negative time":              {offer.Framework{Name: "x", FailoverTimeout: -1}, offer.ReasonInvalidField},
		"more roles than are allowed":  {offer.Framework{Name: "x", Roles: make([]string, 5000)}, offer.ReasonTooLarge},
		"more labels than are allowed": {offer.Framework{Name: "x", Labels: make([]resource.Label, 5000)}, offer.ReasonTooLarge},
		"negative minimum":             {offer.Framework{Name: "x", MinAllocatable: map[string][]resource.Quantities{"evil": {{{Name: "cpus", Amount: -1}}}}}, offer.ReasonInvalidField},
	} {
		attack(t, name, func(t *testing.T, a *arena) {
			p := a.dial()
			if c.f.Roles == nil {
				c.f.Roles = []string{"evil"}
			}
			p.send(&message.Subscribe{Framework: c.f})
			e := next[*message.Error](p)
			require.Equal(t, c.want, e.Reason, "%s", e.Message)
			require.True(t, e.Final)
			require.Less(t, len(e.Message), 1000)
			require.Error(t, p.closed())
		})
	}
}

func TestConnectionsThatMixTheirRoles(t *testing.T) {
	attack(t, "before a subscription", func(t *testing.T, a *arena) {
		for _, m := range []message.Message{&message.Decline{}, accept(nil), &message.Teardown{}, &message.KillTask{Task: "steady"}, &message.Reconcile{}} {
			p := a.dial()
			p.send(m)
			p.refused(offer.ReasonFrameworkUnknown)
			require.Error(t, p.closed())
		}
	})
	attack(t, "what only a master says", func(t *testing.T, a *arena) {
		for _, m := range []message.Message{&message.Launch{}, &message.Kill{}, &message.SlaveRegistered{ID: "s-1"}, &message.Subscribed{ID: "f-1"}, &message.Offers{},
			&message.Ping{}, &message.FrameworkShutdown{Framework: "f-1"}, &message.Error{Final: true}, &message.Leader{Known: true, Address: "evil:1"},
			&message.ExecutorSubscribe{}, &message.Operated{}, &message.Heartbeat{}} {
			for _, subscribed := range []bool{false, true} {
				p := a.dial()
				if subscribed {
					p.subscribe(offer.Framework{Name: "evil"})
				}
				p.send(m)
				p.refused(offer.ReasonUnsupported)
				require.Error(t, p.closed())
			}
		}
	})
	attack(t, "what only a slave says", func(t *testing.T, a *arena) {
		for _, m := range []message.Message{&message.Pong{}, &message.StatusUpdate{Framework: "f-1", Status: &offer.Status{TaskID: "steady", State: offer.Failed}, Latest: offer.Failed},
			&message.SlaveUnregister{}, &message.SlaveRegister{Nonce: offer.UUID{1}}, &message.SlaveReregister{Slave: offer.Slave{ID: "s-1"}, Last: true}} {
			p := a.dial()
			p.subscribe(offer.Framework{Name: "evil"})
			p.send(m)
			p.refused(offer.ReasonMalformed)
			require.Error(t, p.closed())
		}
	})
	attack(t, "a slave that subscribes", func(t *testing.T, a *arena) {
		p := a.dial()
		p.register(offer.Slave{Hostname: "h", Resources: resource.Must("cpus:1")})
		p.send(&message.Subscribe{Framework: offer.Framework{Name: "x", Roles: []string{"x"}}})
		p.refused(offer.ReasonMalformed)
		require.Error(t, p.closed())
	})
	attack(t, "subscribed twice", func(t *testing.T, a *arena) {
		p := a.dial()
		id := p.subscribe(offer.Framework{Name: "evil", FailoverTimeout: time.Minute})
		require.Equal(t, id, p.subscribe(offer.Framework{Name: "evil", ID: id, FailoverTimeout: time.Minute}), "the same again")
		p.send(&message.Subscribe{Framework: offer.Framework{Name: "another", Roles: []string{"x"}}})
		p.refused(offer.ReasonMalformed)
		require.Error(t, p.closed())
	})
	attack(t, "two connections of one framework", func(t *testing.T, a *arena) {
		first := a.dial()
		id := first.subscribe(offer.Framework{Name: "evil"})
		second := a.dial()
		require.Equal(t, id, second.subscribe(offer.Framework{Name: "evil", ID: id}))
		e := next[*message.Error](first)
		require.Equal(t, offer.ReasonFrameworkConflict, e.Reason)
		require.True(t, e.Final)
		require.Error(t, first.closed())
		second.offer("s-1")
	})
	attack(t, "a principal that changes", func(t *testing.T, a *arena) {
		p := a.dial()
		id := p.subscribe(offer.Framework{Name: "evil", Principal: "a", FailoverTimeout: time.Minute})
		p.send(&message.UpdateFramework{Framework: offer.Framework{Name: "evil", Roles: []string{"evil"}, Principal: "b"}})
		p.refused(offer.ReasonPrincipalChanged)
		p.send(&message.UpdateFramework{Framework: offer.Framework{ID: "f-1", Name: "evil", Roles: []string{"evil"}, Principal: "a"}})
		p.refused(offer.ReasonInvalidField)
		p.send(&message.Subscribe{Framework: offer.Framework{ID: id, Name: "evil", Roles: []string{"evil"}, Principal: "b"}})
		p.refused(offer.ReasonPrincipalChanged)
		require.Error(t, p.closed())
	})
}

func TestFloods(t *testing.T) {
	attack(t, "an accept that never ends", func(t *testing.T, a *arena) {
		p := a.dial()
		p.subscribe(offer.Framework{Name: "evil"})
		big := task("big", each)
		big.Data = make([]byte, 3<<20)
		ids := []offer.OfferID{p.offer("s-1").ID}
		for i := range 60 {
			p.send(&message.Accept{Part: uint32(i), Offers: ids, Operations: []offer.Operation{offer.Launch(big)}})
			time.Sleep(time.Second)
		}
		st := next[*message.Update](p).Status
		require.Equal(t, offer.Dropped, st.State)
		require.Contains(t, st.Message, "bytes")
	})
	attack(t, "declines without a filter", func(t *testing.T, a *arena) {
		p := a.dial()
		p.subscribe(offer.Framework{Name: "evil"})
		// Where nothing has been used yet, the least share is the hostile one's, and every offer would be its own again and again.
		decline := func() {
			p.send(&message.Decline{Offers: []offer.OfferID{p.offer("s-1").ID}, Filter: offer.Filter{Refuse: offer.NoFilter}})
		}
		for range 1000 {
			decline()
		}
		a.by.want("good")
		for range 10_000 {
			if len(a.by.states("good")) > 0 {
				break
			}
			decline()
		}
		require.NotEmpty(t, a.by.states("good"), "the healthy framework got no offer during 10,000 declines")
		require.NoError(t, a.session.Kill("good", "s-1"))
		a.by.await("good", offer.Killed)
		time.Sleep(time.Second)
		a.forgetGood()
	})
	attack(t, "subscriptions in a loop", func(t *testing.T, a *arena) {
		for i := range 500 {
			p := a.dial()
			p.subscribe(offer.Framework{Name: fmt.Sprint("evil", i)})
			p.c.Close()
		}
	})
	attack(t, "one framework again and again", func(t *testing.T, a *arena) {
		p := a.dial()
		id := p.subscribe(offer.Framework{Name: "evil", FailoverTimeout: time.Hour})
		for range 500 {
			p = a.dial()
			p.subscribe(offer.Framework{Name: "evil", ID: id, FailoverTimeout: time.Hour})
		}
		p.send(&message.Teardown{})
		require.Error(t, p.closed())
	})
}
