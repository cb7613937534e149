package master

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/recording"
	"github.com/meros-project/meros/internal/runloop"
	"github.com/meros-project/meros/offer"
)

// viewAge is how old a view that is handed to a query may be.
const viewAge = 50 * time.Millisecond

// A reign is one term of leadership: a core that is fresh but for the registry, its loop, and the connections that came during it. It
// ends with its Term, and everything in it is thrown away.
type reign struct {
	m       *Master
	term    election.Term
	log     *slog.Logger
	cluster offer.ClusterID
	core    *mastercore.Core
	loop    *runloop.Loop[mastercore.Event, mastercore.Effect]
	propose *proposer
	current mastercore.Event // being stepped; named when the core panics

	recorder *recording.Recorder // nil when nothing is recorded
	frame    *encoded            // whose other events come next; of the loop

	view        atomic.Pointer[publishedView]
	viewWanted  atomic.Bool // viewWaiters is not empty
	viewMu      sync.Mutex
	viewWaiters []chan struct{} // closed when a view was published

	questions chan *question // for the core

	mu      sync.Mutex
	closed  bool
	conns   map[mastercore.ConnID]*conn
	calls   map[uint64]func(*offer.Refusal) // operators' calls by token
	lastTok uint64

	touched []*conn              // by the effects that are being performed
	writes  []mastercore.Propose // likewise
	answers []answered           // likewise
	notes   []mastercore.Note    // likewise
}

type publishedView struct {
	view *mastercore.View
	at   time.Time
}

// steppable lets queries have the core's view made, and their questions answered, on the loop's goroutine, which is the only one that may
// touch the core.
type steppable struct{ r *reign }

func (s steppable) Deadline() time.Time { return s.r.core.Deadline() }

func (s steppable) Step(now time.Time, ev mastercore.Event, out []mastercore.Effect) []mastercore.Effect {
	if s.r.recorder != nil {
		out = s.r.recorded(now, ev, out)
	} else {
		out = s.r.core.Step(now, ev, out)
	}
	if s.r.viewWanted.Load() {
		s.r.publish()
	}
	s.r.reply(now)
	return out
}

func newReign(m *Master, term election.Term) *reign {
	view := m.fsm.view()
	r := &reign{m: m, term: term, log: m.log.With("reign", term.Reign()), cluster: view.ClusterID(),
		conns: map[mastercore.ConnID]*conn{}, calls: map[uint64]func(*offer.Refusal){}, questions: make(chan *question, maxQuestions)}
	clock := m.clock()
	now := clock()
	r.core = m.newCore(now, term.Reign(), view)
	r.record(now)
	cfg := runloop.Config[mastercore.Event, mastercore.Effect]{
		Now:     clock,
		Core:    steppable{r},
		Tick:    mastercore.Tick{},
		Perform: r.perform,
		Inbox:   m.cfg.MaxPending,
		Record:  func(_ time.Time, ev mastercore.Event) { r.current = plain(ev) },
	}
	if r.recorder != nil {
		cfg.Settled = func() { r.recorder.Settled(clock()) }
	}
	r.loop = runloop.New(cfg)
	r.propose = &proposer{term: term, answer: r.loop.Complete, log: r.log}
	r.publish()
	return r
}

// run serves until the Term or ctx ends (nil), or the core fails.
func (r *reign) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		select {
		case <-r.term.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	err := r.guard(ctx)
	cancel()
	<-stop
	r.end(err)
	r.endRecord(err)
	return err
}

// guard runs the loop and recovers what the core throws. A panic ends this master: its state cannot be trusted. The peer whose message
// was being stepped is turned away for good where that costs no tasks, so that it does not bring the same message to the next leader.
func (r *reign) guard(ctx context.Context) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		err = fmt.Errorf("master: the core failed in reign %d: %v", r.term.Reign(), p)
		r.log.Error("the core failed", "panic", p, "event", fmt.Sprintf("%T %+v", r.current, r.current), "stack", string(debug.Stack()))
		if ev, ok := r.current.(mastercore.Received); ok {
			r.quarantine(ev)
		}
	}()
	return r.loop.Run(ctx)
}

func (r *reign) quarantine(ev mastercore.Received) {
	r.mu.Lock()
	c := r.conns[ev.Conn]
	r.mu.Unlock()
	if c == nil {
		return
	}
	const why = "this message brought the master down"
	switch k := ev.Message.Kind(); {
	case k >= message.KindSlaveRegister && k < message.KindSlaveRegistered:
		c.tell(r.envelope(&message.SlaveRefused{Reason: offer.ReasonInternal, Message: why}))
	default:
		c.tell(r.envelope(&message.Error{Reason: offer.ReasonInternal, Message: why, Final: true}))
	}
	c.close()
}

// end turns the connections of the reign away: each is told who leads now and closed.
func (r *reign) end(err error) {
	r.mu.Lock()
	r.closed = true
	conns, calls := r.conns, r.calls
	r.conns, r.calls = nil, nil
	r.mu.Unlock()
	for _, done := range calls {
		done(offer.Refuse(offer.ReasonNotLeader, "the master ceased to lead; the outcome is unknown"))
	}
	leader := r.m.leaderMessage()
	if err != nil {
		leader = &message.Leader{}
	}
	for _, c := range conns {
		c.tell(message.Envelope{Cluster: r.cluster, Message: leader})
		c.close()
	}
}

// attach makes a connection one of this reign; false when the reign is over.
func (r *reign) attach(c *conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.conns[c.id] = c
	return true
}

// detach tells the core that a connection has ended.
func (r *reign) detach(id mastercore.ConnID) {
	r.mu.Lock()
	_, known := r.conns[id]
	delete(r.conns, id)
	r.mu.Unlock()
	if known {
		r.loop.Complete(mastercore.Disconnected{Conn: id})
	}
}

func (r *reign) envelope(m message.Message) message.Envelope {
	return message.Envelope{Cluster: r.cluster, Reign: r.term.Reign(), Message: m}
}

// operate queues an operator's call; done is called once, from the loop or when the reign ends.
func (r *reign) operate(ctx context.Context, principal string, call message.Operate, done func(*offer.Refusal)) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		done(offer.Refuse(offer.ReasonNotLeader, "this master does not lead"))
		return
	}
	if len(r.calls) >= r.m.cfg.MaxCalls {
		r.mu.Unlock()
		done(offer.Refuse(offer.ReasonLimitReached, fmt.Sprintf("%d operators' calls are in flight", r.m.cfg.MaxCalls)))
		return
	}
	r.lastTok++
	token := r.lastTok
	r.calls[token] = done
	r.mu.Unlock()
	if err := r.loop.Post(ctx, mastercore.Called{Token: token, Principal: principal, Call: call}); err != nil {
		r.answer(token, offer.Refuse(offer.ReasonShuttingDown, "the master is about to stop"))
	}
}

func (r *reign) answer(token uint64, refusal *offer.Refusal) {
	r.mu.Lock()
	done := r.calls[token]
	delete(r.calls, token)
	r.mu.Unlock()
	if done != nil {
		done(refusal)
	}
}

// publish makes a view for whoever asked.
func (r *reign) publish() {
	r.view.Store(&publishedView{view: r.core.View(), at: time.Now()})
	r.viewMu.Lock()
	defer r.viewMu.Unlock()
	r.viewWanted.Store(false)
	for _, ready := range r.viewWaiters {
		close(ready)
	}
	r.viewWaiters = nil
}

// read returns a view that is at most viewAge old, or the newest there is if the loop does not get to it before ctx ends.
func (r *reign) read(ctx context.Context) *mastercore.View {
	v := r.view.Load()
	if time.Since(v.at) < viewAge {
		return v.view
	}
	ready := make(chan struct{})
	r.viewMu.Lock()
	r.viewWaiters = append(r.viewWaiters, ready)
	r.viewWanted.Store(true)
	r.viewMu.Unlock()
	r.loop.Complete(mastercore.Tick{})
	select {
	case <-ready:
	case <-ctx.Done():
	case <-r.loop.Done():
	}
	return r.view.Load().view
}
