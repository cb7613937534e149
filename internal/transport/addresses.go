package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/message"
)

const (
	askTimeout  = time.Second            // for the answer to a Watch
	freshFor    = 200 * time.Millisecond // an answer as old as this still counts as new
	lostFor     = 2 * time.Second        // a master that knows no leader for so long is left for another, while somebody waits
	firstPause  = 20 * time.Millisecond
	longPause   = 100 * time.Millisecond
	longestTime = time.Second // between two tries, once all masters have failed again and again
)

// An AddressDetector finds the leader by asking masters whose addresses are known: it keeps a watch open on one of them and goes on to the
// next when that one fails, hangs, or does not know the leader either.
type AddressDetector struct {
	masters []string
	dialer  Dialer
	logger  *slog.Logger
	ctx     context.Context
	stop    context.CancelFunc
	wg      sync.WaitGroup
	poke    chan struct{} // somebody wants to know

	mu      sync.Mutex
	started bool
	closed  bool
	leader  election.Peer // the zero Peer while it is not known
	told    time.Time     // when a master last said so
	waiting int           // calls of Detect that wait for a leader while none is known
	changed chan struct{} // closed at each answer
}

var _ election.Detector = (*AddressDetector)(nil)

// Addresses makes a detector out of the masters' addresses, host:port; one of them is enough, all are better. It asks nothing before the first
// Detect. A nil logger logs nothing. Close it when done.
func Addresses(masters []string, d Dialer, logger *slog.Logger) *AddressDetector {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &AddressDetector{
		masters: append([]string(nil), masters...), dialer: d, logger: logger, ctx: ctx, stop: cancel,
		poke: make(chan struct{}, 1), changed: make(chan struct{}),
	}
}

// Detect returns the leader as soon as it differs from previous. With the zero Peer it returns who leads by an answer not older than a
// moment: call it so after a failed or lost connection, with a pause, because masters notice a leader's death later than its peers do. While
// nobody leads it waits. It returns net.ErrClosed after Close.
func (a *AddressDetector) Detect(ctx context.Context, previous election.Peer) (election.Peer, error) {
	if len(a.masters) == 0 {
		return election.Peer{}, errors.New("transport: no addresses of masters")
	}
	asked := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.started && !a.closed {
		a.started = true
		a.wg.Go(a.run)
	}
	for {
		switch {
		case a.closed:
			return election.Peer{}, net.ErrClosed
		case a.leader == (election.Peer{}) || a.leader == previous:
		case previous != (election.Peer{}) || !a.told.Before(asked.Add(-freshFor)):
			return a.leader, nil
		}
		changed := a.changed
		urgent := a.leader == (election.Peer{}) || previous == (election.Peer{})
		if urgent {
			a.waiting++
			select {
			case a.poke <- struct{}{}:
			default:
			}
		}
		a.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = ctx.Err()
		}
		a.mu.Lock()
		if urgent {
			a.waiting--
		}
		if err != nil {
			return election.Peer{}, err
		}
	}
}

// Close ends the watch and every Detect, and returns when its goroutines have ended.
func (a *AddressDetector) Close() error {
	a.mu.Lock()
	if !a.closed {
		a.closed = true
		a.signal()
	}
	a.mu.Unlock()
	a.stop()
	a.wg.Wait()
	return nil
}

func (a *AddressDetector) signal() {
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *AddressDetector) learn(l *message.Leader) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leader = election.Peer{}
	if l.Known && l.Address != "" {
		a.leader = election.Peer{ID: l.ID, Address: l.Address}
	}
	a.told = time.Now()
	if !a.closed {
		a.signal()
	}
}

// forget makes the leader unknown: the master that told of it is lost.
func (a *AddressDetector) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leader = election.Peer{}
}

// somebodyWaits reports whether a Detect waits and the master that is watched has known no leader for too long, or has known one for long
// enough to be asked again.
func (a *AddressDetector) somebodyWaits() (lost, stale bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known, age := a.leader != election.Peer{}, time.Since(a.told)
	return a.waiting > 0 && !known && age >= lostFor, a.waiting > 0 && known && age > freshFor
}

// run watches one master after the other, from a random one on.
func (a *AddressDetector) run() {
	next := rand.IntN(len(a.masters))
	failures := 0
	for a.ctx.Err() == nil {
		addr := a.masters[next%len(a.masters)]
		next++
		answered, err := a.watch(addr)
		a.forget()
		if a.ctx.Err() != nil {
			return
		}
		a.logger.Debug("master does not tell who leads", "address", addr, "error", err)
		if answered {
			failures = 0
		} else {
			failures++
		}
		rounds := min(failures/len(a.masters), 6)
		longest := min(longPause<<rounds, longestTime)
		pause := time.NewTimer(firstPause + rand.N(longest-firstPause))
		select {
		case <-pause.C:
		case <-a.ctx.Done():
			pause.Stop()
		}
	}
}

// watch asks one master until it fails, or until another should be asked. Answered says that it told of a leader.
func (a *AddressDetector) watch(addr string) (answered bool, err error) {
	d := a.dialer
	if d.Timeout <= 0 || d.Timeout > askTimeout {
		d.Timeout = askTimeout // a master that hangs must not hold up the search
	}
	nc, err := d.Dial(a.ctx, addr, Node)
	if err != nil {
		return false, err
	}
	conn := NewConn(nc, ConnConfig{MaxQueueBytes: 1 << 10, WriteTimeout: askTimeout})
	news := make(chan bool)
	ended := make(chan struct{})
	a.wg.Go(func() { defer close(ended); a.listen(conn, news) })
	defer func() {
		_ = conn.Close()
		for {
			select {
			case <-news:
			case <-ended:
				return
			}
		}
	}()
	timer := time.NewTimer(askTimeout)
	defer timer.Stop()
	if err := conn.Send(watchMessage); err != nil {
		return false, err
	}
	asking := true
	for {
		select {
		case <-a.ctx.Done():
			return answered, a.ctx.Err()
		case <-ended:
			return answered, conn.Err()
		case known := <-news:
			asking = false
			answered = answered || known
			timer.Reset(lostFor)
		case <-a.poke:
			if _, stale := a.somebodyWaits(); stale && !asking {
				if err := conn.Send(watchMessage); err != nil {
					return answered, err
				}
				asking = true
				timer.Reset(askTimeout)
			}
		case <-timer.C:
			lost, _ := a.somebodyWaits()
			switch {
			case asking:
				return answered, fmt.Errorf("no answer in %s", askTimeout)
			case lost:
				return false, errors.New("it knows no leader")
			}
			timer.Reset(lostFor)
		}
	}
}

var watchMessage = message.Envelope{Message: &message.Watch{}}

// listen takes in what the master says.
func (a *AddressDetector) listen(conn *Conn, news chan<- bool) {
	for {
		envs, err := conn.Receive(nil)
		if err != nil {
			return
		}
		for _, e := range envs {
			if l, ok := e.Message.(*message.Leader); ok {
				a.learn(l)
				news <- l.Known
			}
		}
	}
}
