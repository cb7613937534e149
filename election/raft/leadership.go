package raft

import (
	"context"
	"errors"
	"fmt"
	"time"

	hraft "github.com/hashicorp/raft"
	"github.com/meros-project/meros/election"
)

// A leadership is the goroutine of Run: it compares what the library says with the present Term. The library's notifications are
// only a reason to look, since transitions may be merged or lost; a reign is told from the next by the library's term.
type leadership struct {
	e *Elector
	n *node

	term    *term
	past    []*term // that still wait for outcomes
	opening bool    // an opening entry is with the library
	opened  chan opening
	again   *time.Timer // a reason to look
	rest    time.Time   // no reign is opened before
}

// An opening is what became of an opening entry.
type opening struct {
	outcome
	err error
}

// lead runs until ctx ends or something fails, and takes everything down.
func (e *Elector) lead(ctx context.Context, n *node) error {
	l := &leadership{e: e, n: n, opened: make(chan opening, 1), again: time.NewTimer(0)}
	defer l.again.Stop()
	n.tasks.Go(func() { n.disk.watch(n.stop, e.cfg.StallHeartbeats, e.cfg.StallStop, l.slow, e.die) })
	n.tasks.Go(func() { e.observe(n) })
	n.tasks.Go(func() { e.keepGuard(n) })
	n.tasks.Go(func() { e.prompt(n) })
	err := l.run(ctx)
	close(e.stopping)
	l.abdicate(err == nil)
	e.setLeader(election.Peer{})
	if errors.Is(err, election.ErrDiskStalled) {
		l.abandon()
		_ = n.stream.Close()
		go func() { _ = e.down(n) }() // ends when the disk answers
		return err
	}
	down := make(chan error, 1)
	go func() { down <- e.down(n) }()
	select {
	case downErr := <-down:
		l.abandon() // what a library that failed never answered
		return errors.Join(err, downErr)
	case <-time.After(e.cfg.StallStop):
		l.abandon()
		return errors.Join(err, election.ErrDiskStalled)
	}
}

func (l *leadership) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-l.e.fatal:
			return err
		case <-l.e.wake:
		case <-l.again.C:
		case o := <-l.opened:
			l.settle(o)
		}
		l.look()
	}
}

// look ends the present reign if it is over, and opens one if this master leads and has none.
func (l *leadership) look() {
	r, stalled := l.e.raft, l.n.transport.stalled.Load()
	address, id := r.LeaderWithID()
	if stalled && string(id) == l.e.nodeID {
		address, id = "", ""
	}
	l.e.setLeader(election.Peer{ID: string(id), Address: string(address)})

	raftTerm := r.CurrentTerm()
	leads := r.State() == hraft.Leader && !stalled
	if t := l.term; t != nil {
		resigned := t.isOver()
		if leads && t.raftTerm == raftTerm && !resigned {
			return
		}
		t.end()
		l.e.log.Info("reign ended", "reign", t.reign, "term", t.raftTerm)
		l.past = append(l.past, t)
		l.term = nil
		if resigned {
			l.rest = time.Now().Add(resignPause)
			l.again.Reset(resignPause)
		}
	}
	l.past = unfinished(l.past)
	if leads && !l.opening && !time.Now().Before(l.rest) {
		l.open(r)
	}
}

func unfinished(past []*term) []*term {
	var left []*term
	for _, t := range past {
		if !t.finished.Load() {
			left = append(left, t)
		}
	}
	return left
}

// open proposes the opening entry. Once it is applied here, so is every entry of earlier reigns.
func (l *leadership) open(r *hraft.Raft) {
	entry := l.e.env.Opening()
	l.opening = l.e.help(func() {
		f := r.Apply(entry, 0)
		if err := f.Error(); err != nil {
			l.opened <- opening{err: err}
			return
		}
		o, _ := f.Response().(outcome)
		l.opened <- opening{outcome: o, err: o.err}
	})
}

func (l *leadership) settle(o opening) {
	l.opening = false
	if o.err != nil {
		l.e.log.Info("the opening entry was not committed", "err", o.err)
		l.again.Reset(openingPause)
		return
	}
	reign, ok := o.result.(uint64)
	if !ok {
		l.e.die(fmt.Errorf("raft: applying the opening entry gave %T, not the reign as a uint64", o.result))
		return
	}
	if r := l.e.raft; r.State() != hraft.Leader || r.CurrentTerm() != o.term || l.n.transport.stalled.Load() {
		l.again.Reset(openingPause) // deposed meanwhile, and perhaps elected again
		return
	}
	t := newTerm(l.e, reign, o.term)
	l.term = t
	l.e.log.Info("leading", "reign", reign, "term", o.term)
	l.e.help(func() {
		select {
		case l.e.terms <- t:
		case <-t.ended:
		}
	})
}

// slow is told by the watchdog when the disk hangs and when it answers again.
func (l *leadership) slow(is bool) {
	l.n.transport.stalled.Store(is)
	l.e.log.Warn("disk", "hangs", is, "for", l.e.cfg.StallHeartbeats)
	l.e.poke()
}

// abdicate ends the reign and, when there is time for it, waits for what is in flight and hands leadership over.
func (l *leadership) abdicate(orderly bool) {
	if l.term != nil {
		l.term.end()
		l.past = append(l.past, l.term)
		l.term = nil
	}
	if !orderly {
		return
	}
	for _, t := range l.past {
		within(time.Second, t.finish.Wait)
	}
	if r := l.e.raft; r.State() == hraft.Leader && l.e.voters() > 1 {
		ctx, cancel := context.WithTimeout(context.Background(), 2*l.e.cfg.ElectionTimeout)
		defer cancel()
		if err := l.e.wait(ctx, func() hraft.Future { return r.LeadershipTransfer() }); err != nil {
			l.e.log.Info("leadership was not handed over", "err", err)
		}
	}
}

func (l *leadership) abandon() {
	for _, t := range l.past {
		t.abandon()
	}
}

// within waits for wait at most d, and tells whether it returned.
func within(d time.Duration, wait func()) bool {
	done := make(chan struct{})
	go func() { wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-time.After(d):
		return false
	}
}

// down stops the library, then closes what it used, in this order: it panics on a store that was closed under it.
func (e *Elector) down(n *node) error {
	e.waiterMu.Lock()
	e.ended = true
	e.waiterMu.Unlock()
	// While the library runs it answers everything it was asked. What it has queued when it stops it never does.
	within(2*time.Second, e.waiters.Wait)
	stopped := e.raft.Shutdown()
	_ = n.stream.Close()
	err := stopped.Error()
	err = errors.Join(err, ignoreClosed(n.transport.Close()))
	n.stream.tasks.Wait()
	close(n.stop)
	n.tasks.Wait()
	e.guard.reached(mark{Term: e.raft.CurrentTerm(), Index: e.raft.AppliedIndex()})
	if saveErr := e.saveGuard(); saveErr != nil {
		e.log.Warn("guard", "err", saveErr)
	}
	return errors.Join(err, n.disk.Close(), n.folder.Close())
}

// observe turns the library's notifications, which it must never wait for, into tokens of wake.
func (e *Elector) observe(n *node) {
	seen := make(chan hraft.Observation, 1)
	o := hraft.NewObserver(seen, false, func(o *hraft.Observation) bool {
		_, leader := o.Data.(hraft.LeaderObservation)
		return leader
	})
	e.raft.RegisterObserver(o)
	defer e.raft.DeregisterObserver(o)
	e.poke() // what happened before the observer was there is seen by a look
	for {
		select {
		case <-n.notify:
		case <-seen:
		case <-n.stop:
			return
		}
		e.poke()
	}
}

// keepGuard saves the guard soon after each vote and now and then besides.
func (e *Elector) keepGuard(n *node) {
	tick := time.NewTicker(guardInterval)
	defer tick.Stop()
	for {
		select {
		case <-n.voted:
		case <-tick.C:
			e.guard.reached(mark{Term: e.raft.CurrentTerm(), Index: e.raft.AppliedIndex()})
		case <-n.stop:
			return
		}
		if err := e.saveGuard(); err != nil {
			e.log.Warn("guard", "err", err)
		}
	}
}

func (e *Elector) saveGuard() error {
	members := configuration(e.raft)
	return e.guard.save(func(id string) bool {
		_, ok := members[id]
		return ok || len(members) == 0
	})
}

func ignoreClosed(err error) error {
	if errors.Is(err, errStreamClosed) {
		return nil
	}
	return err
}
