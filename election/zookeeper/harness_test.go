package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/electiontest"
)

// A member is one master of a test.
type member struct {
	t       testing.TB
	elector *Elector
	ledger  *electiontest.Ledger
	cancel  context.CancelFunc
	ended   chan error
}

func startMember(t testing.TB, n int, cfg Config) *member {
	m := &member{t: t, ledger: &electiontest.Ledger{}, ended: make(chan error, 1)}
	e, err := New(cfg)
	require.NoError(t, err)
	m.elector = e
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	env := election.Env{StateMachine: m.ledger, Opening: m.ledger.Opening, Advertise: fmt.Sprintf("127.0.0.1:%d", 5050+n)}
	go func() { m.ended <- e.Run(ctx, env) }()
	t.Cleanup(func() { _ = m.stop() })
	return m
}

// stop ends the master and returns what Run returned.
func (m *member) stop() error {
	m.cancel()
	err := m.end()
	m.ended <- err
	return err
}

// end waits for the end of Run.
func (m *member) end() error {
	select {
	case err := <-m.ended:
		return err
	case <-time.After(patience):
		m.t.Error("Run did not return")
		return nil
	}
}

// present is the reign of this master, if it leads.
func (m *member) present() *term {
	m.elector.mu.Lock()
	defer m.elector.mu.Unlock()
	return m.elector.term
}

func (m *member) next() election.Term { return nextOf(m.t, m) }

// nextOf waits for a reign of any of the masters.
func nextOf(t testing.TB, members ...*member) election.Term {
	t.Helper()
	var term election.Term
	eventually(t, "a reign", func() bool {
		for _, m := range members {
			select {
			case got, ok := <-m.elector.Terms():
				if ok {
					term = got
					return true
				}
			default:
			}
		}
		return false
	})
	return term
}

func propose(t testing.TB, term election.Term, entry string) error {
	done := make(chan error, 1)
	term.Propose([]byte(entry), func(_ uint64, _ any, err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		t.Fatal("a proposal has no outcome")
		return nil
	}
}

// commit proposes in this reign or a later one until the entry is committed.
func commit(t testing.TB, term election.Term, entry string, members ...*member) election.Term {
	t.Helper()
	for {
		err := propose(t, term, entry)
		if err == nil {
			return term
		}
		if !isLost(err) {
			require.NoError(t, err)
		}
		select {
		case <-term.Done():
		case <-time.After(patience):
			t.Fatal("a reign in which nothing can be proposed does not end")
		}
		term = nextOf(t, members...)
	}
}

// agree waits until all have applied the same entries and the last is the given one.
func agree(t testing.TB, entry string, members ...*member) []string {
	t.Helper()
	var entries []string
	eventually(t, "the same entries everywhere", func() bool {
		entries = members[0].ledger.Entries()
		for _, m := range members {
			if got := m.ledger.Entries(); len(got) == 0 || got[len(got)-1] != entry || !slices.Equal(got, entries) {
				return false
			}
		}
		return true
	})
	return entries
}

// client is a plain connection of the test's own.
func client(t testing.TB, s *server, auth string) *zk.Conn {
	c, _, err := zk.Connect([]string{s.address}, 5*time.Second, zk.WithLogInfo(false), zk.WithLogger(quiet{slog.New(slog.DiscardHandler)}))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	if auth != "" {
		require.NoError(t, c.AddAuth("digest", []byte(auth)))
	}
	return c
}

// tree is every node below the root that no session owns, with its data and versions.
func tree(t testing.TB, s *server, auth string) map[string]string {
	t.Helper()
	c := client(t, s, auth)
	nodes := map[string]string{}
	var walk func(path string)
	walk = func(path string) {
		data, stat, err := c.Get(path)
		if errors.Is(err, zk.ErrNoNode) {
			return
		}
		require.NoError(t, err, path)
		if stat.EphemeralOwner != 0 {
			return
		}
		nodes[path] = fmt.Sprintf("%d %d %q", stat.Czxid, stat.Version, data)
		names, _, err := c.Children(path)
		require.NoError(t, err, path)
		for _, name := range names {
			walk(strings.TrimSuffix(path, "/") + "/" + name)
		}
	}
	walk("/")
	delete(nodes, "/zookeeper")
	return nodes
}
