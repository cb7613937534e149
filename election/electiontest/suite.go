package electiontest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/stretchr/testify/require"
)

// A Master is an elector and the environment to run it in, whose StateMachine and Opening the suite fills in.
type Master struct {
	Elector election.Elector
	Env     election.Env
}

// patience bounds how long a reign may take to come about.
const patience = 30 * time.Second

// Run checks the contract on clusters that start returns, one fresh cluster for each check: all its masters, not running yet.
func Run(t *testing.T, start func(t *testing.T) []Master) {
	for _, check := range []struct {
		name string
		run  func(*cluster)
	}{
		{"a reign leads and ends with Run", reignEnds},
		{"entries are applied everywhere in the order of the calls", callOrder},
		{"each outcome is told once and is true when a reign is resigned", outcomes},
		{"reigns rise", reignsRise},
		{"an entry that is too large is refused", tooLarge},
		{"a snapshot changes nothing", snapshots},
	} {
		t.Run(check.name, func(t *testing.T) {
			c := &cluster{t: t, masters: start(t), terms: make(chan reign, 16)}
			c.run()
			t.Cleanup(c.cancel)
			check.run(c)
			c.stop()
		})
	}
}

type reign struct {
	election.Term
	of int
}

type cluster struct {
	t       *testing.T
	masters []Master
	ledgers []*Ledger
	terms   chan reign
	cancel  context.CancelFunc
	ended   []chan error
	all     sync.WaitGroup
}

func (c *cluster) run() {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	for i, m := range c.masters {
		l, ended := &Ledger{}, make(chan error, 1)
		m.Env.StateMachine, m.Env.Opening = l, l.Opening
		c.ledgers, c.ended = append(c.ledgers, l), append(c.ended, ended)
		c.all.Go(func() { ended <- m.Elector.Run(ctx, m.Env) })
		c.all.Go(func() {
			for t := range m.Elector.Terms() {
				c.terms <- reign{t, i}
			}
		})
	}
}

func (c *cluster) stop() {
	c.cancel()
	c.all.Wait()
	for _, ended := range c.ended {
		require.NoError(c.t, <-ended)
	}
}

func (c *cluster) next() reign {
	select {
	case r := <-c.terms:
		return r
	case <-time.After(patience):
		require.Fail(c.t, "nobody leads")
		return reign{}
	}
}

// propose proposes in a reign that lasts; if it does not, in the next.
func (c *cluster) propose(r *reign, entry string) uint64 {
	for {
		index, err := propose(r.Term, entry)
		if err == nil {
			return index
		}
		require.True(c.t, errors.Is(err, election.ErrDeposed) || errors.Is(err, election.ErrUnknown), "%v", err)
		*r = c.next()
	}
}

func propose(t election.Term, entry string) (uint64, error) {
	type answer struct {
		index uint64
		err   error
	}
	got := make(chan answer, 1)
	t.Propose([]byte(entry), func(index uint64, _ any, err error) { got <- answer{index, err} })
	a := <-got
	return a.index, a.err
}

// agree waits until every ledger ends with entry.
func (c *cluster) agree(entry string) {
	for began := time.Now(); ; {
		same := true
		for _, l := range c.ledgers {
			e := l.Entries()
			same = same && len(e) > 0 && e[len(e)-1] == entry && slices.Equal(e, c.ledgers[0].Entries())
		}
		if same {
			return
		}
		require.Less(c.t, time.Since(began), patience, "the masters do not agree")
		<-time.After(5 * time.Millisecond)
	}
}

func reignEnds(c *cluster) {
	r := c.next()
	c.propose(&r, "a")
	e := c.masters[r.of].Elector
	leader, ok := e.Leader()
	require.True(c.t, ok)
	require.Equal(c.t, c.masters[r.of].Env.Advertise, leader.Address)
	require.NotEmpty(c.t, leader.ID)
	changed := e.LeaderChanged()
	require.Error(c.t, e.Run(context.Background(), c.masters[r.of].Env)) // it runs already
	c.cancel()
	<-r.Done()
	<-changed
	c.all.Wait()
	_, err := propose(r.Term, "late")
	require.ErrorIs(c.t, err, election.ErrDeposed)
	for _, m := range c.masters {
		_, open := <-m.Elector.Terms()
		require.False(c.t, open)
		_, ok := m.Elector.Leader()
		require.False(c.t, ok)
	}
}

func callOrder(c *cluster) {
	const n = 500
	for r := c.next(); ; r = c.next() {
		var mu sync.Mutex
		var indexes []uint64
		var results []any
		var lost int
		var all sync.WaitGroup
		all.Add(n)
		for i := range n {
			r.Propose(fmt.Appendf(nil, "%d.%d", r.Reign(), i), func(index uint64, result any, err error) {
				defer all.Done()
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					lost++
					return
				}
				indexes, results = append(indexes, index), append(results, result)
			})
		}
		all.Wait()
		if lost > 0 {
			continue // deposed on the way, which outcomes looks at
		}
		require.IsIncreasing(c.t, indexes)
		for i := 1; i < n; i++ {
			require.Equal(c.t, results[i-1].(int)+1, results[i])
		}
		c.agree(fmt.Sprintf("%d.%d", r.Reign(), n-1))
		var mine []string
		for _, e := range c.ledgers[0].Entries() {
			if strings.HasPrefix(e, fmt.Sprint(r.Reign(), ".")) {
				mine = append(mine, e)
			}
		}
		for i, e := range mine {
			require.Equal(c.t, fmt.Sprintf("%d.%d", r.Reign(), i), e)
		}
		return
	}
}

func outcomes(c *cluster) {
	var mu sync.Mutex
	told := map[string]int{}
	outcome := map[string]error{}
	r := c.next()
	for round := range 3 {
		var all sync.WaitGroup
		for i := range 200 {
			entry := fmt.Sprintf("%d.%d", round, i)
			all.Add(1)
			r.Propose([]byte(entry), func(_ uint64, _ any, err error) {
				defer all.Done()
				mu.Lock()
				defer mu.Unlock()
				told[entry]++
				outcome[entry] = err
			})
			if i == 100 {
				all.Add(1)
				go func() {
					defer all.Done()
					ctx, cancel := context.WithTimeout(context.Background(), patience)
					defer cancel()
					_ = r.Resign(ctx) // where nobody is fit to follow, the reign ends all the same
				}()
			}
		}
		all.Wait()
		<-r.Done()
		r = c.next()
	}
	c.propose(&r, "end")
	c.agree("end")
	applied := map[string]int{}
	for _, e := range c.ledgers[0].Entries() {
		applied[e]++
	}
	mu.Lock()
	defer mu.Unlock()
	for entry, err := range outcome {
		require.Equal(c.t, 1, told[entry], entry)
		switch {
		case err == nil:
			require.Equal(c.t, 1, applied[entry], entry)
		case errors.Is(err, election.ErrDeposed):
			require.Zero(c.t, applied[entry], entry)
		default:
			require.ErrorIs(c.t, err, election.ErrUnknown)
			require.LessOrEqual(c.t, applied[entry], 1, entry)
		}
	}
}

func reignsRise(c *cluster) {
	last := uint64(0)
	for range 4 {
		r := c.next()
		require.Greater(c.t, r.Reign(), last)
		last = r.Reign()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_ = r.Resign(ctx)
		cancel()
		<-r.Done()
		_, err := propose(r.Term, "late")
		require.ErrorIs(c.t, err, election.ErrDeposed)
	}
}

func tooLarge(c *cluster) {
	r := c.next()
	_, err := propose(r.Term, strings.Repeat("x", election.MaxEntry+1))
	require.ErrorIs(c.t, err, election.ErrTooLarge)
	largest := strings.Repeat("x", election.MaxEntry)
	c.propose(&r, largest)
	c.agree(largest)
}

func snapshots(c *cluster) {
	r := c.next()
	for i := range 20 {
		c.propose(&r, fmt.Sprint("before ", i))
	}
	for _, m := range c.masters {
		if s, ok := m.Elector.(election.Snapshotter); ok {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			require.NoError(c.t, s.TakeSnapshot(ctx))
			cancel()
		}
	}
	c.propose(&r, "after")
	c.agree("after")
}
