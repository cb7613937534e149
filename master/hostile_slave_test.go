package master_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func (p *peer) slaveRefused(want offer.Reason) *message.SlaveRefused {
	p.t.Helper()
	r := next[*message.SlaveRefused](p)
	require.Equal(p.t, want, r.Reason, "%s", r.Message)
	require.NotEmpty(p.t, r.Message)
	require.Less(p.t, len(r.Message), 1000)
	return r
}

func TestSlavesThatAreRefused(t *testing.T) {
	good := offer.Slave{Hostname: "h", Resources: resource.Must("cpus:1")}
	with := func(f func(*offer.Slave)) offer.Slave {
		s := good
		f(&s)
		return s
	}
	scalar := func(n ...resource.Scalar) (rs resource.Resources) {
		for _, n := range n {
			rs = append(rs, resource.Resource{Name: "cpus", Scalar: n})
		}
		return rs
	}
	for name, c := range map[string]struct {
		s    offer.Slave
		want offer.Reason
	}{
		"negative resources":     {with(func(s *offer.Slave) { s.Resources = scalar(-1) }), offer.ReasonInvalidField},
		"absurd resources":       {with(func(s *offer.Slave) { s.Resources = scalar(1<<63 - 1) }), offer.ReasonInvalidField},
		"resources out of order": {with(func(s *offer.Slave) { s.Resources = scalar(1, 1) }), offer.ReasonInvalidField},
		"ports that overlap": {with(func(s *offer.Slave) {
			s.Resources = resource.Resources{{Name: "ports", Type: resource.RangesType, Ranges: resource.Ranges{{Begin: 1, End: 5}, {Begin: 3, End: 9}}}}
		}), offer.ReasonInvalidField},
		"a resource of a bad role": {with(func(s *offer.Slave) {
			s.Resources = resource.Resources{{Name: "cpus", Scalar: 1, Reservations: []resource.Reservation{{Role: "../x"}}}}
		}), offer.ReasonInvalidField},
		"a long host name":        {with(func(s *offer.Slave) { s.Hostname = strings.Repeat("h", 1<<20) }), offer.ReasonInvalidField},
		"a host name with a line": {with(func(s *offer.Slave) { s.Hostname = "h\nroot:x" }), offer.ReasonInvalidField},
		"many attributes":         {with(func(s *offer.Slave) { s.Attributes = make([]offer.Attribute, 5000) }), offer.ReasonTooLarge},
		"a nameless attribute":    {with(func(s *offer.Slave) { s.Attributes = make([]offer.Attribute, 1) }), offer.ReasonInvalidField},
		"an id of its own choice": {with(func(s *offer.Slave) { s.ID = "s-1" }), offer.ReasonInvalidField},
	} {
		attack(t, name, func(t *testing.T, a *arena) {
			p := a.dial()
			p.send(&message.SlaveRegister{Nonce: offer.UUID{9}, Slave: c.s})
			require.False(t, p.slaveRefused(c.want).Shutdown)
			if c.s.ID == "" { // the same of one that has an id
				c.s.ID = "s-99"
				p.send(&message.SlaveReregister{Slave: c.s, Last: true})
				p.slaveRefused(c.want)
			}
		})
	}
	attack(t, "no nonce", func(t *testing.T, a *arena) {
		p := a.dial()
		p.send(&message.SlaveRegister{Slave: good})
		p.slaveRefused(offer.ReasonInvalidField)
	})
	for name, c := range map[string]struct {
		s    offer.Slave
		want offer.Reason
	}{
		"an id that never was":   {with(func(s *offer.Slave) { s.ID = "s-99" }), offer.ReasonUnknownID},
		"no id":                  {good, offer.ReasonUnknownID},
		"an id that is none":     {with(func(s *offer.Slave) { s.ID = "../../s-1" }), offer.ReasonUnknownID},
		"a number that is large": {with(func(s *offer.Slave) { s.ID = "s-99999999999999999999" }), offer.ReasonUnknownID},
		"a number with zeros":    {with(func(s *offer.Slave) { s.ID = "s-01" }), offer.ReasonUnknownID},
		"another slave's id":     {with(func(s *offer.Slave) { s.ID = "s-1" }), offer.ReasonSlaveConflict},
		"another slave's id and host": {with(func(s *offer.Slave) { s.ID, s.Hostname, s.Address = "s-1", "healthy", "evil:1" }),
			offer.ReasonSlaveConflict},
	} {
		attack(t, name, func(t *testing.T, a *arena) {
			p := a.dial()
			p.send(&message.SlaveReregister{Slave: c.s, Last: true, Tasks: []message.SlaveTask{{Framework: "f-1", Role: "*", Task: task("steady", each), Latest: offer.Failed}}})
			p.slaveRefused(c.want)
		})
	}
	attack(t, "a slave that is gone", func(t *testing.T, a *arena) {
		p := a.dial()
		id := p.register(good)
		require.NoError(t, a.m.MarkGone(t.Context(), id))
		require.True(t, p.slaveRefused(offer.ReasonSlaveGone).Shutdown)
		p = a.dial()
		p.send(&message.SlaveReregister{Slave: with(func(s *offer.Slave) { s.ID = id }), Last: true})
		require.True(t, p.slaveRefused(offer.ReasonSlaveGone).Shutdown)
	})
	attack(t, "two ids on one connection", func(t *testing.T, a *arena) {
		p, q := a.dial(), a.dial()
		id := p.register(good)
		q.register(with(func(s *offer.Slave) { s.Hostname = "other" }))
		q.send(&message.SlaveReregister{Slave: with(func(s *offer.Slave) { s.ID = id }), Last: true})
		q.slaveRefused(offer.ReasonMalformed)
	})
}

func TestRegistrationsThatDoNotComeInOrder(t *testing.T) {
	s := offer.Slave{ID: "s-1", Hostname: "healthy", Resources: resource.Must("cpus:1")}
	for name, parts := range map[string][]*message.SlaveReregister{
		"without a beginning":  {{Slave: s, Part: 1, Last: true}},
		"with a gap":           {{Slave: s}, {Part: 2, Last: true}},
		"one part twice":       {{Slave: s}, {Part: 1}, {Part: 1}},
		"beyond the last part": {{Slave: s}, {Part: 1<<32 - 1}},
	} {
		attack(t, name, func(t *testing.T, a *arena) {
			p := a.dial()
			for _, m := range parts {
				p.send(m)
			}
			p.slaveRefused(offer.ReasonMalformed)
		})
	}
	attack(t, "never finished", func(t *testing.T, a *arena) {
		for range 20 {
			p := a.dial()
			p.send(&message.SlaveReregister{Slave: s})
			p.send(&message.SlaveReregister{Part: 1, Tasks: []message.SlaveTask{{Framework: "f-1", Role: "*", Task: task("steady", each), Latest: offer.Failed}}})
		}
		time.Sleep(time.Minute)
	})
	attack(t, "with too many parts", func(t *testing.T, a *arena) {
		p := a.dial()
		p.send(&message.SlaveReregister{Slave: s})
		for i := range 1000 {
			p.send(&message.SlaveReregister{Part: uint32(i + 1)})
		}
		p.slaveRefused(offer.ReasonMalformed)
	})
}

func TestWhatASlaveMayNotSay(t *testing.T) {
	slave := func(a *arena) *peer {
		p := a.dial()
		p.register(offer.Slave{Hostname: "evil", Resources: resource.Must("cpus(evil):1")})
		return p
	}
	update := func(id offer.TaskID, on offer.SlaveID, state, latest offer.State) *message.StatusUpdate {
		return &message.StatusUpdate{Framework: "f-1", Latest: latest, Status: &offer.Status{TaskID: id, SlaveID: on, State: state, UUID: offer.UUID{7}}}
	}
	for name, m := range map[string]message.Message{
		"of another slave's task":            update("steady", "", offer.Failed, offer.Failed),
		"in another slave's name":            update("steady", "s-1", offer.Failed, offer.Failed),
		"what only a master sees":            update("steady", "", offer.Unreachable, offer.Unreachable),
		"what nobody can know":               update("steady", "", offer.Unknown, offer.Unknown),
		"a state that is none":               update("steady", "", 250, 251),
		"no state":                           update("steady", "", 0, 0),
		"a latest state that is none":        update("steady", "", offer.Running, 251),
		"of an executor that is not there":   &message.ExecutorExited{Framework: "f-77", Executor: "../e"},
		"of an operation that was not asked": &message.OperationUpdate{Framework: "f-77", Status: offer.OperationStatus{ID: "x", State: offer.OperationFinished, UUID: offer.UUID{3}}},
	} {
		attack(t, name, func(t *testing.T, a *arena) {
			p := slave(a)
			p.send(m, m, m)
			time.Sleep(time.Second)
		})
	}
	attack(t, "that another slave's task is its own", func(t *testing.T, a *arena) {
		p := slave(a)
		p.c.Close()
		p = a.dial()
		p.send(&message.SlaveReregister{Slave: offer.Slave{ID: "s-2", Hostname: "evil", Resources: resource.Must("cpus(evil):1")}, Last: true,
			Tasks: []message.SlaveTask{{Framework: "f-1", Role: "*", Task: task("steady", each), Latest: offer.Running}}})
		require.Equal(t, offer.TaskID("steady"), next[*message.Kill](p).Task)
		p.send(update("steady", "", offer.Running, offer.Failed), update("steady", "", offer.Failed, offer.Failed))
		require.Equal(t, offer.UUID{7}, next[*message.StatusAck](p).UUID)
		time.Sleep(time.Second)
		p.c.Close()
	})
	attack(t, "of a framework that never was", func(t *testing.T, a *arena) {
		p := slave(a)
		m := update("x", "", offer.Running, offer.Running)
		m.Framework = "../../f-1"
		p.send(m)
		require.Equal(t, m.Framework, next[*message.FrameworkShutdown](p).Framework)
		require.Equal(t, offer.UUID{7}, next[*message.StatusAck](p).UUID, "nobody else will ever acknowledge it")
	})
	attack(t, "before it has registered", func(t *testing.T, a *arena) {
		p := a.dial()
		p.send(update("steady", "s-1", offer.Failed, offer.Failed), &message.SlaveUnregister{})
		require.False(t, next[*message.Ping](p).Connected, "it must register")
	})
	attack(t, "a task of its own that ends twice", func(t *testing.T, a *arena) {
		p := slave(a)
		f := a.dial()
		f.subscribe(offer.Framework{Name: "evil"})
		o := f.offer("s-2")
		f.send(accept([]offer.OfferID{o.ID}, offer.Launch(task("x", o.Resources))))
		launch := next[*message.Launch](p)
		st := &message.StatusUpdate{Framework: launch.Framework.ID, Latest: offer.Finished, Status: &offer.Status{TaskID: "x", State: offer.Finished, UUID: offer.UUID{1}}}
		p.send(st)
		next[*message.Update](f)
		st.Latest, st.Status.State, st.Status.UUID = offer.Running, offer.Running, offer.UUID{2}
		p.send(st, st, st)
		// What it held was free at its end, once.
		require.Equal(t, o.Resources.String(), f.offer("s-2").Resources.String())
		time.Sleep(time.Second)
	})
	attack(t, "a slave that shrinks", func(t *testing.T, a *arena) {
		p := slave(a)
		f := a.dial()
		f.subscribe(offer.Framework{Name: "evil"})
		o := f.offer("s-2")
		p.c.Close()
		require.Equal(t, []offer.OfferID{o.ID}, next[*message.Rescind](f).Offers)
		p = a.dial()
		p.send(&message.SlaveReregister{Slave: offer.Slave{ID: "s-2", Hostname: "evil", Resources: resource.Must("cpus(evil):0.5")}, Last: true})
		require.Equal(t, "cpus(evil):0.5", f.offer("s-2").Resources.String())
		f.send(accept([]offer.OfferID{o.ID}, offer.Launch(task("x", resource.Must("cpus(evil):1")))))
		require.Equal(t, offer.ReasonInvalidOffers, next[*message.Update](f).Status.Reason)
	})
	attack(t, "a slave that answers no ping", func(t *testing.T, a *arena) {
		p := slave(a)
		f := a.dial()
		f.subscribe(offer.Framework{Name: "evil"})
		o := f.offer("s-2")
		f.send(accept([]offer.OfferID{o.ID}, offer.Launch(task("x", o.Resources))))
		begin := time.Now()
		for { // until it is told that it must register again, or is cut off
			e, err := p.receive()
			if err != nil {
				break
			}
			if ping, ok := e.Message.(*message.Ping); ok && !ping.Connected {
				break
			}
		}
		require.LessOrEqual(t, time.Since(begin), 2*time.Minute)
		st := next[*message.Update](f).Status
		require.Equal(t, offer.Unreachable, st.State)
		require.Equal(t, offer.SlaveID("s-2"), st.SlaveID)
	})
}
