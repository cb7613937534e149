package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/internal/wire"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// fleetConfig says what light slaves are like.
type fleetConfig struct {
	masters   []string
	slaves    int
	resources resource.Resources // of each
	spread    time.Duration      // slaves come to a new leader at random moments within it, as real ones do
	seed      uint64
	// executing runs what the master launches: Running at once, and Finished as soon as Running is acknowledged.
	executing bool
	// finishing is called right before an executing slave sends Finished. May be nil.
	finishing func(offer.SlaveID, offer.TaskID)
}

// A fleet is many light slaves: each is one connection that speaks the slave's side of the protocol, with none of the journal, the
// containers and the timers of a real one. Its re-registration is encoded ahead, because on a real cluster that work is done elsewhere.
type fleet struct {
	cfg     fleetConfig
	compass *compass
	members []*lightSlave
	wg      sync.WaitGroup

	mu         sync.Mutex
	cancel     context.CancelFunc
	registered map[uint64]int // by reign
	refused    error          // the first refusal that ends a slave
	changed    chan struct{}
}

// A lightSlave belongs to its goroutine, but for what is marked.
type lightSlave struct {
	f     *fleet
	n     int
	nonce offer.UUID
	seen  int // of the compass
	rnd   *rand.Rand

	id     offer.SlaveID // of f.mu, as what follows
	frames []byte        // the re-registration
	reign  uint64        // of the last welcome

	running map[offer.TaskID]*message.SlaveTask // executing slaves only
	serial  uint64
}

func newFleet(cfg fleetConfig) *fleet {
	f := &fleet{cfg: cfg, compass: newCompass(cfg.masters), registered: map[uint64]int{}, changed: make(chan struct{})}
	for i := range cfg.slaves {
		s := &lightSlave{f: f, n: i, rnd: rand.New(rand.NewPCG(cfg.seed, uint64(i)))}
		binary.BigEndian.PutUint64(s.nonce[:], cfg.seed)
		binary.BigEndian.PutUint64(s.nonce[8:], uint64(i)+1)
		f.members = append(f.members, s)
	}
	return f
}

// start brings the slaves up; stop ends them.
func (f *fleet) start(ctx context.Context) {
	ctx, f.cancel = context.WithCancel(ctx)
	f.wg.Go(func() { f.compass.run(ctx) })
	for _, s := range f.members {
		f.wg.Go(func() { s.run(ctx) })
	}
}

func (f *fleet) stop() {
	f.cancel()
	f.wg.Wait()
}

// awaitRegistered waits until every slave has been welcomed in this reign, or a later one.
func (f *fleet) awaitRegistered(ctx context.Context, reign uint64) error {
	for {
		f.mu.Lock()
		var n int
		for r, have := range f.registered {
			if r >= reign {
				n += have
			}
		}
		err, changed := f.refused, f.changed
		f.mu.Unlock()
		switch {
		case err != nil:
			return err
		case n >= len(f.members):
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d slaves have registered in reign %d: %w", n, len(f.members), reign, context.Cause(ctx))
		}
	}
}

func (f *fleet) welcomed(s *lightSlave, reign uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.reign == reign {
		return
	}
	if s.reign != 0 {
		f.registered[s.reign]--
	}
	s.reign = reign
	f.registered[reign]++
	f.signal()
}

func (f *fleet) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refused == nil {
		f.refused = err
		f.signal()
	}
}

func (f *fleet) signal() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (s *lightSlave) run(ctx context.Context) {
	s.seen = -1
	for {
		address, seen, err := s.f.compass.next(ctx, s.seen, time.Second)
		if err != nil {
			return
		}
		spread := s.f.cfg.spread
		for s.pause(ctx, spread) && s.serve(ctx, address) {
			spread = retryPause // it is to lead, and does not yet
		}
		s.seen = seen
	}
}

const (
	// retryPause is what real slaves wait at the most before they try again.
	retryPause = 200 * time.Millisecond
	// answerTimeout is when a slave that the master does not answer tries again.
	answerTimeout = 5 * time.Second
)

// pause waits for a random part of the spread.
func (s *lightSlave) pause(ctx context.Context, spread time.Duration) bool {
	if spread <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(time.Duration(s.rnd.Int64N(int64(spread))))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// serve registers with the master at address and stays until the connection ends. Early says that it did not lead yet.
func (s *lightSlave) serve(ctx context.Context, address string) (early bool) {
	nc, err := transport.Dialer{}.Dial(ctx, address, transport.Node)
	if err != nil {
		return false
	}
	s.f.mu.Lock()
	frames := s.frames
	s.f.mu.Unlock()
	if frames != nil {
		if _, err := nc.Write(frames); err != nil {
			_ = nc.Close()
			return false
		}
	}
	conn := transport.NewConn(nc, transport.ConnConfig{})
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	unanswered := time.AfterFunc(answerTimeout, func() { _ = conn.Close() })
	defer unanswered.Stop()
	if frames == nil {
		if err := conn.Send(message.Envelope{Message: &message.SlaveRegister{Nonce: s.nonce, Slave: s.f.describe(s.n, "")}}); err != nil {
			return false
		}
	}
	for {
		envs, err := conn.Receive(nil)
		if err != nil {
			return false
		}
		for i := range envs {
			if l, ok := envs[i].Message.(*message.Leader); ok {
				return !l.Known || l.Address == address
			}
			if !s.take(conn, &envs[i]) {
				return false
			}
			unanswered.Stop()
		}
	}
}

func (f *fleet) describe(n int, id offer.SlaveID) offer.Slave {
	return offer.Slave{ID: id, Hostname: fmt.Sprintf("node-%05d", n), Resources: f.cfg.resources, Version: "bench"}
}

// take answers one message; false ends the connection.
func (s *lightSlave) take(conn *transport.Conn, e *message.Envelope) bool {
	switch m := e.Message.(type) {
	case *message.SlaveRegistered:
		if s.id == "" { // only this goroutine sets it
			if err := s.settle(m.ID); err != nil {
				s.f.fail(err)
				return false
			}
		}
		s.f.welcomed(s, e.Reign)
	case *message.SlaveRefused:
		if m.Shutdown {
			s.f.fail(fmt.Errorf("slave %d (%s) was refused: %s: %s", s.n, s.id, m.Reason, m.Message))
		}
		return false
	case *message.Ping:
		if !m.Connected {
			return false
		}
		return conn.Send(message.Envelope{Message: &message.Pong{}}) == nil
	case *message.Launch:
		if s.f.cfg.executing {
			return s.launch(conn, m)
		}
	case *message.StatusAck:
		if t := s.running[m.Task]; t != nil && t.Status.UUID == m.UUID {
			return s.advance(conn, t)
		}
	}
	return true
}

// settle keeps the id and encodes the re-registration. A fleet that executes re-registers without tasks.
func (s *lightSlave) settle(id offer.SlaveID) error {
	b, err := frame(&message.SlaveReregister{Slave: s.f.describe(s.n, id), Last: true})
	if err != nil {
		return err
	}
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	s.id, s.frames = id, b
	return nil
}

// load gives each slave the tasks that it names from its next registration on. Every slave must be registered.
func (f *fleet) load(tasks func(i int, id offer.SlaveID) []message.SlaveTask) error {
	for _, s := range f.members {
		f.mu.Lock()
		id := s.id
		f.mu.Unlock()
		b, err := frame(&message.SlaveReregister{Slave: f.describe(s.n, id), Last: true, Tasks: tasks(s.n, id)})
		if err != nil {
			return err
		}
		f.mu.Lock()
		s.frames = b
		f.mu.Unlock()
	}
	return nil
}

// frame encodes one message as the only one of a batch.
func frame(m message.Message) ([]byte, error) {
	b, at := wire.OpenBatch([]byte{0, 0, 0, 0, 1}, "", 0)
	b, err := wire.AppendMessage(b, m)
	if err != nil {
		return nil, err
	}
	if len(b)-4 > transport.MaxFrame {
		return nil, fmt.Errorf("a frame of %d bytes is too large (allowed: %d)", len(b)-4, transport.MaxFrame)
	}
	wire.CloseBatch(b, at, 1)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b, nil
}

// launch starts tasks, which run at once.
func (s *lightSlave) launch(conn *transport.Conn, m *message.Launch) bool {
	if s.running == nil {
		s.running = map[offer.TaskID]*message.SlaveTask{}
	}
	for _, task := range m.Tasks {
		t := &message.SlaveTask{Framework: m.Framework.ID, Role: m.Role, Task: task}
		s.running[task.ID] = t
		if !s.report(conn, t, offer.Running) {
			return false
		}
	}
	return true
}

// advance follows an acknowledgement: Running ends, Finished is forgotten.
func (s *lightSlave) advance(conn *transport.Conn, t *message.SlaveTask) bool {
	if t.Latest.Terminal() {
		delete(s.running, t.Task.ID)
		return true
	}
	if f := s.f.cfg.finishing; f != nil {
		f(s.id, t.Task.ID)
	}
	return s.report(conn, t, offer.Finished)
}

func (s *lightSlave) report(conn *transport.Conn, t *message.SlaveTask, state offer.State) bool {
	s.serial++
	t.Latest = state
	t.Status = offer.Status{TaskID: t.Task.ID, SlaveID: s.id, State: state, Source: offer.SourceSlave, Time: time.Now()}
	binary.BigEndian.PutUint64(t.Status.UUID[:], uint64(s.n)+1)
	binary.BigEndian.PutUint64(t.Status.UUID[8:], s.serial)
	return conn.Send(message.Envelope{Message: &message.StatusUpdate{Framework: t.Framework, Status: &t.Status, Latest: state}}) == nil
}
