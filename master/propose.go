package master

import (
	"errors"
	"log/slog"
	"sync"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/internal/wire"
)

const (
	entriesInFlight = 2 // one is on its way to the disks while the next one fills
	entryCommands   = 1024
)

// A proposer writes to the log for one reign. What is proposed while entries are in flight queues, and shares the next entry: the more
// there is to write, the more one fsync carries.
type proposer struct {
	term   election.Term
	answer func(mastercore.Event) // posts to the loop; never blocks
	log    *slog.Logger

	mu       sync.Mutex
	queue    []mastercore.Propose
	inFlight int
}

// add queues proposals of one batch of effects.
func (p *proposer) add(list []mastercore.Propose) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, list...)
	p.pump()
}

// pump fills entries from the queue. Term.Propose keeps the order of calls and does not block, so it may be called with the lock held.
func (p *proposer) pump() {
	for p.inFlight < entriesInFlight && len(p.queue) > 0 {
		batch, entry, ok := p.next()
		if !ok {
			continue
		}
		p.inFlight++
		p.term.Propose(entry, func(_ uint64, result any, err error) { p.done(batch, result, err) })
	}
}

// next cuts proposals for one entry off the queue, as many as fit. One that does not fit by itself is answered as not committed.
func (p *proposer) next() ([]mastercore.Propose, []byte, bool) {
	n, commands := 0, 0
	for n < len(p.queue) && (n == 0 || commands+len(p.queue[n].Commands) <= entryCommands) {
		commands += len(p.queue[n].Commands)
		n++
	}
	for {
		e := registry.Entry{Reign: p.term.Reign()}
		for _, q := range p.queue[:n] {
			e.Commands = append(e.Commands, q.Commands...)
		}
		entry, err := wire.AppendEntry(nil, e)
		switch {
		case err == nil && len(entry) <= election.MaxEntry:
			batch := append([]mastercore.Propose(nil), p.queue[:n]...)
			p.drop(n)
			return batch, entry, true
		case n == 1:
			p.log.Error("a registry write cannot be encoded", "bytes", len(entry), "err", err, "commands", len(e.Commands))
			p.answer(mastercore.NotCommitted{Token: p.queue[0].Token})
			p.drop(1)
			return nil, nil, false
		}
		n = (n + 1) / 2
	}
}

func (p *proposer) drop(n int) {
	clear(p.queue[:n])
	if p.queue = p.queue[n:]; len(p.queue) == 0 {
		p.queue = nil
	}
}

func (p *proposer) done(batch []mastercore.Propose, result any, err error) {
	results, ok := result.([]registry.Result)
	if err == nil && !ok {
		err = errors.New("the entry gave no results")
	}
	for _, q := range batch {
		if err != nil {
			p.answer(mastercore.NotCommitted{Token: q.Token, Unknown: !errors.Is(err, election.ErrDeposed) && !errors.Is(err, election.ErrTooLarge)})
			continue
		}
		p.answer(mastercore.Committed{Token: q.Token, Results: results[:len(q.Commands):len(q.Commands)]})
		results = results[len(q.Commands):]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFlight--
	p.pump()
}
