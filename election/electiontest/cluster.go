package electiontest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/meros-project/meros/election"
)

type reign struct {
	election.Term
	of int
}

func (r reign) over() bool {
	select {
	case <-r.Done():
		return true
	default:
		return false
	}
}

func isDeposed(err error) bool  { return errors.Is(err, election.ErrDeposed) }
func isUnknown(err error) bool  { return errors.Is(err, election.ErrUnknown) }
func isTooLarge(err error) bool { return errors.Is(err, election.ErrTooLarge) }

// A node is a master in one of its lives.
type node struct {
	Master
	index   int
	elector election.Elector
	env     election.Env
	ledger  *Ledger
	cancel  context.CancelFunc // nil while it does not run
	ended   chan error
	fetched chan struct{} // closed when Terms is
}

type cluster struct {
	t        *recorder
	tb       testing.TB
	patience time.Duration
	nodes    []*node
	terms    chan reign // what next takes
	history  history

	mu      sync.Mutex
	reigns  map[uint64]int // by which master
	twice   string         // which reign two Terms have
	present []reign        // all that were announced
	logs    [][]string     // of masters that have ended
}

func (c *cluster) require(ok bool, format string, args ...any) {
	if !ok {
		c.t.fail(format, args...)
	}
}

// within fails if wait does not return in time.
func (c *cluster) within(what string, wait func()) {
	done := make(chan struct{})
	go func() { wait(); close(done) }()
	c.closed(done, what)
}

func (c *cluster) closed(ch <-chan struct{}, what string) {
	timer := time.NewTimer(c.patience)
	defer timer.Stop()
	select {
	case <-ch:
	case <-timer.C:
		c.t.fail("%s did not come about in %v", what, c.patience)
	}
}

func (c *cluster) start(n *node) {
	ctx, cancel := context.WithCancel(context.Background())
	n.elector, n.env = n.New(c.tb)
	n.ledger, n.ended, n.fetched, n.cancel = &Ledger{}, make(chan error, 1), make(chan struct{}), cancel
	n.env.StateMachine, n.env.Opening = n.ledger, n.ledger.Opening
	e, env, ended, fetched := n.elector, n.env, n.ended, n.fetched
	go func() { ended <- e.Run(ctx, env) }()
	go func() {
		defer close(fetched)
		for t := range e.Terms() {
			c.announced(reign{t, n.index})
		}
	}()
}

// announced notes a reign, and whether another Term had its number.
func (c *cluster) announced(r reign) {
	c.mu.Lock()
	defer c.mu.Unlock()
	number := r.Reign()
	if _, there := c.reigns[number]; there {
		c.twice = "two reigns have one number"
	}
	c.reigns[number] = r.of
	c.present = append(c.present, r)
	select {
	case c.terms <- r:
	default: // reigns come so fast that none is worth waiting for
	}
}

func (c *cluster) startAll() {
	for _, n := range c.nodes {
		c.start(n)
	}
}

func (c *cluster) stop(n *node) {
	if n.cancel == nil {
		return
	}
	n.cancel()
	defer func() { n.cancel = nil }()
	timer := time.NewTimer(c.patience)
	defer timer.Stop()
	select {
	case err := <-n.ended:
		c.require(err == nil, "Run of master %d: %v", n.index, err)
	case <-timer.C:
		c.t.fail("Run of master %d did not return in %v", n.index, c.patience)
	}
	c.closed(n.fetched, "the end of Terms")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.logs = append(c.logs, n.ledger.log())
}

func (c *cluster) stopAll() {
	for _, n := range c.nodes {
		if n.cancel != nil {
			n.cancel()
		}
	}
	for _, n := range c.nodes {
		c.stop(n)
	}
}

// abandon ends what a check that failed left running.
func (c *cluster) abandon() {
	for _, n := range c.nodes {
		if n.Heal != nil {
			n.Heal()
		}
		if n.cancel == nil {
			continue
		}
		n.cancel()
		select {
		case <-n.ended:
		case <-time.After(c.patience):
		}
	}
}

func (c *cluster) restart(i int) {
	c.stop(c.nodes[i])
	c.start(c.nodes[i])
}

func (c *cluster) heal() {
	for _, n := range c.nodes {
		if n.Heal != nil {
			n.Heal()
		}
	}
}

// next returns a reign that was not returned before and has not ended.
func (c *cluster) next() reign { return c.nextWithin(c.patience) }

func (c *cluster) nextWithin(d time.Duration) reign {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case r := <-c.terms:
			if !r.over() {
				return r
			}
		case <-timer.C:
			c.t.fail("nobody leads after %v", d)
		}
	}
}

// resign resigns and tells when Resign has returned: where nobody is fit to follow, the reign ends all the same.
func (c *cluster) resign(r reign) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), c.patience)
		defer cancel()
		_ = r.Resign(ctx)
	}()
	return done
}

// propose proposes in a reign that lasts; if it does not, in the next.
func (c *cluster) propose(r *reign, entry string) {
	for {
		_, _, err := c.proposed(*r, entry)
		if err == nil {
			return
		}
		c.require(isDeposed(err) || isUnknown(err), "an outcome that is none: %v", err)
		*r = c.next()
	}
}

// proposed proposes and waits for the outcome.
func (c *cluster) proposed(r reign, entry string) (index uint64, result any, err error) {
	b := c.batch(r, 1, func(int) string { return entry })
	c.within("the outcome of a proposal", b.wait)
	return b.indexes[0], b.results[0], b.errs[0]
}

// agree waits until every ledger ends with entry and is the same.
func (c *cluster) agree(entry string) {
	for began := time.Now(); ; {
		same := true
		for _, n := range c.nodes {
			same = same && n.ledger.endsWith(entry)
		}
		if same && c.equal() {
			return
		}
		c.require(time.Since(began) < c.patience, "the masters do not agree in %v", c.patience)
		<-time.After(5 * time.Millisecond)
	}
}

func (c *cluster) equal() bool {
	first := c.nodes[0].ledger.Entries()
	for _, n := range c.nodes[1:] {
		if !slices.Equal(first, n.ledger.Entries()) {
			return false
		}
	}
	return true
}

// A batch is what became of proposals that were made one after the other.
type batch struct {
	all     sync.WaitGroup
	mu      sync.Mutex
	indexes []uint64
	results []any
	errs    []error
	order   []int // in which the outcomes were told
}

func (b *batch) wait() { b.all.Wait() }

func (b *batch) lost() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.errs, func(err error) bool { return err != nil })
}

// batch makes n proposals and notes them in the history.
func (c *cluster) batch(r reign, n int, entry func(i int) string) *batch {
	b := &batch{indexes: make([]uint64, n), results: make([]any, n), errs: make([]error, n)}
	b.all.Add(n)
	for i := range n {
		text := entry(i)
		op := c.history.begin(r.Reign(), text)
		r.Propose([]byte(text), func(index uint64, result any, err error) {
			if c.history.end(op, result, err) > 1 {
				return // which verify tells
			}
			b.mu.Lock()
			b.indexes[i], b.results[i], b.errs[i] = index, result, err
			b.order = append(b.order, i)
			b.mu.Unlock()
			b.all.Done()
		})
	}
	return b
}
