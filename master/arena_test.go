package master_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/master"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// An arena is a master with a healthy slave and a healthy framework, whose one task runs, in a bubble; and whoever means them harm.
type arena struct {
	t       *testing.T
	network *memtransport.Network
	m       *master.Master
	slave   *testSlave
	by      *bystander
	session *framework.Session
	peers   []*peer
	opened  []net.Conn
	stops   []func() error
	before  string // what the books say of the healthy ones

	mu      sync.Mutex
	toSlave []message.Message // what the healthy slave was told, but for pings
}

const (
	masterAddress = "m:1"
	steadyRuns    = 2 * time.Hour
	patience      = 20 * time.Minute // in the bubble's time
)

// attack runs act against an arena and requires afterwards that the healthy ones have not noticed, that the books are in order, and that
// everything but what the healthy task uses can be offered again (R4).
func attack(t *testing.T, name string, act func(t *testing.T, a *arena)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := newArena(t, master.Config{})
			act(t, a)
			a.unharmed()
		})
	})
}

func newArena(t *testing.T, cfg master.Config) *arena {
	a := &arena{t: t, network: memtransport.New()}
	cfg.Election, cfg.Listen, cfg.Network = election.Standalone(), masterAddress, a.network
	var err error
	a.m, err = master.New(cfg)
	require.NoError(t, err)
	a.run(a.m.Run)
	<-a.m.Ready()
	a.slave = newSlave(t, a.network, "healthy", masterAddress)
	a.slave.runs = steadyRuns
	a.slave.heard = func(m message.Message) {
		if _, ok := m.(*message.Ping); !ok {
			a.mu.Lock()
			a.toSlave = append(a.toSlave, m)
			a.mu.Unlock()
		}
	}
	a.run(func(ctx context.Context) error { a.slave.run(ctx); return nil })
	a.by = newBystander()
	a.session, err = framework.New(framework.Config{Name: "bystander", Masters: []string{masterAddress}, Network: a.network}, a.by)
	require.NoError(t, err)
	a.run(a.session.Run)
	a.by.want("steady")
	a.by.await("steady", offer.Running)
	time.Sleep(time.Second)
	a.before = a.healthy()
	return a
}

func (a *arena) run(f func(context.Context) error) {
	r := start(a.t.Context(), f)
	a.stops = append(a.stops, r.stop)
}

// healthy is what the books say of the healthy slave, framework and task. What is offered is left out.
func (a *arena) healthy() string {
	state, err := a.m.Books(a.t.Context())
	require.NoError(a.t, err)
	var out []string
	section := ""
	for _, line := range strings.Split(state, "\n") {
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case f[0] == "slave" || f[0] == "framework" || f[0] == "offer" || f[0] == "task":
			section = f[0]
		case section == "slave" && f[0] == "s-1":
			out = append(out, strings.Join(f[:len(f)-1], " "))
		case section == "framework" && f[0] == "f-1", section == "task" && f[0] == "steady":
			if section == "framework" {
				f = f[:len(f)-1] // how many tasks have ended
			}
			out = append(out, strings.Join(f, " "))
		}
	}
	return strings.Join(out, "\n")
}

func (a *arena) heardBySlave() []message.Message {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]message.Message(nil), a.toSlave...)
}

// unharmed is the judgement. It ends the arena.
func (a *arena) unharmed() {
	t := a.t
	synctest.Wait()
	require.Equal(t, a.before, a.healthy(), "the books")
	require.Equal(t, 1, a.by.subscriptions(), "the healthy framework's connection broke")
	require.Empty(t, a.by.strange(), "what the healthy framework should not have been told")
	require.Len(t, a.slave.connections(), 1, "the healthy slave's connection broke")
	for _, m := range a.heardBySlave() {
		switch m := m.(type) {
		case *message.SlaveRegistered:
		case *message.Launch:
			for i := range m.Tasks {
				require.Contains(t, []offer.TaskID{"steady", "good"}, m.Tasks[i].ID, "launched on the healthy slave")
			}
		case *message.StatusAck:
			require.Contains(t, []offer.TaskID{"steady", "good"}, m.Task)
		default:
			require.Fail(t, "the healthy slave was told", "%T %+v", m, m)
		}
	}
	for _, p := range a.peers {
		p.c.Close()
	}
	for _, nc := range a.opened {
		_ = nc.Close()
	}
	a.allFree()
	a.by.want("after")
	a.by.await("after", offer.Running)
	a.by.await("steady", offer.Finished)
	a.by.await("after", offer.Finished)
	require.Equal(t, []offer.State{offer.Running, offer.Finished}, a.by.states("steady"))
	require.Equal(t, 1, a.by.subscriptions())
	for i := len(a.stops) - 1; i >= 0; i-- {
		require.NoError(t, a.stops[i]())
	}
}

// allFree lets a newcomer collect all offers of the healthy slave, which must be all that the healthy task does not use.
func (a *arena) allFree() {
	time.Sleep(10 * time.Second) // filters of the healthy framework are over, hostile frameworks are
	p := a.dial()
	p.subscribe(offer.Framework{Name: "auditor", Roles: []string{"audit"}})
	time.Sleep(time.Second)
	want, _ := resource.Must("cpus:4;mem:4096;ports:[31000-32000]").Sub(each)
	var got resource.Resources
	for !got.Contains(want) {
		for _, o := range next[*message.Offers](p).Offers {
			if o.SlaveID == "s-1" {
				got = got.Add(o.Resources)
			}
		}
	}
	require.Equal(a.t, want.String(), got.String(), "what can be offered")
	p.c.Close()
	time.Sleep(time.Second)
}

// A bystander is a scheduler that launches what it is told to, and remembers what it should not have seen.
type bystander struct {
	mu      sync.Mutex
	wanted  []offer.TaskID
	known   map[offer.TaskID][]offer.State
	odd     []string
	subs    int
	session *framework.Session
	changed chan struct{}
}

func newBystander() *bystander {
	return &bystander{known: map[offer.TaskID][]offer.State{}, changed: make(chan struct{})}
}

func (b *bystander) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *bystander) want(id offer.TaskID) {
	b.mu.Lock()
	b.wanted = append(b.wanted, id)
	b.known[id] = nil
	s := b.session
	b.mu.Unlock()
	if s != nil {
		_ = s.Revive()
	}
}

func (b *bystander) await(id offer.TaskID, state offer.State) {
	for {
		b.mu.Lock()
		for _, s := range b.known[id] {
			if s == state {
				b.mu.Unlock()
				return
			}
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-time.After(2 * steadyRuns):
			panic(fmt.Sprintf("task %s did not become %v", id, state))
		}
	}
}

func (b *bystander) states(id offer.TaskID) []offer.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known[id]
}

func (b *bystander) subscriptions() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.subs
}

func (b *bystander) strange() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.odd
}

func (b *bystander) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.odd = append(b.odd, fmt.Sprintf(format, args...))
}

func (b *bystander) Subscribed(_ context.Context, s *framework.Session) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subs++
	b.session = s
	return nil
}

func (b *bystander) Offers(_ context.Context, s *framework.Session, offers []offer.Offer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range offers {
		var err error
		if len(b.wanted) > 0 && o.SlaveID == "s-1" && o.Resources.Contains(each) {
			id := b.wanted[0]
			b.wanted = b.wanted[1:]
			err = s.Launch(o, offer.Task{ID: id, Resources: each, Command: &offer.Command{Value: "true", Shell: true}})
		} else {
			err = s.Decline([]offer.OfferID{o.ID})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bystander) Status(_ context.Context, _ *framework.Session, st offer.Status) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen, ok := b.known[st.TaskID]
	switch {
	case !ok || st.SlaveID != "s-1":
		b.odd = append(b.odd, fmt.Sprintf("status %v of %q on %q: %v %s", st.State, st.TaskID, st.SlaveID, st.Reason, st.Message))
		return nil
	case len(seen) > 0 && seen[len(seen)-1] == st.State: // the periodic reconciliation, or told twice
		return nil
	}
	b.known[st.TaskID] = append(seen, st.State)
	b.wake()
	return nil
}

func (b *bystander) Disconnected(context.Context, *framework.Session) { b.note("disconnected") }

func (b *bystander) Refused(_ context.Context, _ *framework.Session, r *offer.Refusal) {
	b.note("refused: %v", r)
}

func (b *bystander) Message(_ context.Context, _ *framework.Session, slave offer.SlaveID, executor offer.ExecutorID, data []byte) {
	b.note("message from %s %s: %.20q", slave, executor, data)
}

// A peer is a connection that follows no rules.
type peer struct {
	t     *testing.T
	c     *transport.Conn
	queue []message.Envelope
}

// open dials without a word.
func (a *arena) open() net.Conn {
	nc, err := a.network.Dial(a.t.Context(), masterAddress)
	require.NoError(a.t, err)
	a.opened = append(a.opened, nc)
	return nc
}

func (a *arena) dial() *peer {
	nc, err := transport.Dialer{Network: a.network}.Dial(a.t.Context(), masterAddress, transport.Node)
	require.NoError(a.t, err)
	a.t.Cleanup(func() { _ = nc.Close() })
	p := &peer{t: a.t, c: transport.NewConn(nc, transport.ConnConfig{})}
	a.peers = append(a.peers, p)
	return p
}

func (p *peer) send(msgs ...message.Message) {
	for _, m := range msgs {
		require.NoError(p.t, p.c.Send(message.Envelope{Message: m}))
	}
}

func (p *peer) receive() (message.Envelope, error) {
	if len(p.queue) == 0 {
		late := time.AfterFunc(patience, func() { p.c.Close() })
		envs, err := p.c.Receive(nil)
		if !late.Stop() {
			err = errors.New("nothing came for " + patience.String())
		}
		if err != nil {
			return message.Envelope{}, err
		}
		p.queue = envs
	}
	e := p.queue[0]
	p.queue = p.queue[1:]
	return e, nil
}

// next returns the next message of one type; others are passed over.
func next[M message.Message](p *peer) M {
	p.t.Helper()
	for {
		e, err := p.receive()
		require.NoError(p.t, err, "while waiting for %T", *new(M))
		if m, ok := e.Message.(M); ok {
			return m
		}
	}
}

// closed reads to the end of the connection and returns why it ended.
func (p *peer) closed() error {
	for {
		if _, err := p.receive(); err != nil {
			return err
		}
	}
}

func (p *peer) subscribe(f offer.Framework) offer.FrameworkID {
	p.t.Helper()
	if f.Roles == nil {
		f.Roles = []string{"evil"}
	}
	f.Capabilities |= offer.PartitionAware
	p.send(&message.Subscribe{Framework: f})
	return next[*message.Subscribed](p).ID
}

// offers returns the next offers on a slave.
func (p *peer) offer(slave offer.SlaveID) offer.Offer {
	p.t.Helper()
	for {
		for _, o := range next[*message.Offers](p).Offers {
			if o.SlaveID == slave {
				return o
			}
		}
	}
}

func (p *peer) register(s offer.Slave) offer.SlaveID {
	p.t.Helper()
	p.send(&message.SlaveRegister{Nonce: offer.UUID{0xee, byte(len(s.Hostname)), s.Hostname[0]}, Slave: s})
	return next[*message.SlaveRegistered](p).ID
}

func (p *peer) refused(want offer.Reason) {
	p.t.Helper()
	e := next[*message.Error](p)
	require.Equal(p.t, want, e.Reason, "%s", e.Message)
	require.NotEmpty(p.t, e.Message)
}
