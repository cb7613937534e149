package master_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/raft"
	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/master"
	"github.com/meros-project/meros/offer"
)

// trio is three masters on Raft, in one process and one bubble.
type trio struct {
	t       *testing.T
	network *memtransport.Network
	peers   []election.Peer
	dirs    []string
	masters []*master.Master
	runs    []*running

	recorder func(i int) master.Recorder // nil for none
}

func host(i int) string { return fmt.Sprintf("m%d", i+1) }

func newTrio(t *testing.T) *trio {
	c := &trio{t: t, network: memtransport.New(), masters: make([]*master.Master, 3), runs: make([]*running, 3)}
	for i := range 3 {
		c.peers = append(c.peers, election.Peer{ID: fmt.Sprintf("id-%d", i+1), Address: host(i) + ":5050"})
		c.dirs = append(c.dirs, t.TempDir())
	}
	return c
}

// startAll starts all three and returns their addresses.
func (c *trio) startAll() (addresses []string) {
	for i, p := range c.peers {
		addresses = append(addresses, p.Address)
		c.start(i)
	}
	return addresses
}

// stopAll stops those that run.
func (c *trio) stopAll() {
	for i, r := range c.runs {
		if r != nil {
			c.stop(i)
		}
	}
}

// cutOff takes master i's network to the others.
func (c *trio) cutOff(i int) {
	for k := range c.peers {
		if k != i {
			c.network.Cut(host(i), host(k))
		}
	}
}

// successor waits for a master that leads and is another than first.
func (c *trio) successor(first int) int {
	for {
		if i := c.leader(); i != first {
			return i
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// A trioLoad is two slaves and a framework with a batch of tasks.
type trioLoad struct {
	*batch
	session   *framework.Session
	framework *running
	slaves    []*running
}

// load starts them.
func (c *trio) load(tasks int, addresses []string) *trioLoad {
	l := &trioLoad{batch: newBatch(tasks)}
	for i := range 2 {
		s := newSlave(c.t, c.network, fmt.Sprintf("s%d", i), addresses...)
		l.slaves = append(l.slaves, start(c.t.Context(), func(ctx context.Context) error { s.run(ctx); return nil }))
	}
	var err error
	l.session, err = framework.New(framework.Config{Name: "batch", Masters: addresses, Network: c.network}, l.batch)
	require.NoError(c.t, err)
	l.framework = start(c.t.Context(), l.session.Run)
	return l
}

// stop ends the framework for good, and the slaves.
func (l *trioLoad) stop(t *testing.T) {
	require.NoError(t, l.session.Teardown())
	require.NoError(t, <-l.framework.done)
	for _, s := range l.slaves {
		require.NoError(t, s.stop())
	}
}

func (c *trio) start(i int) {
	elector, err := raft.New(raft.Config{Dir: c.dirs[i], Bootstrap: c.peers})
	require.NoError(c.t, err)
	address := c.peers[i].Address
	cfg := master.Config{Election: elector, Listen: address, Advertise: address, Network: c.network.From(host(i))}
	if c.recorder != nil {
		cfg.Recorder = c.recorder(i)
	}
	m, err := master.New(cfg)
	require.NoError(c.t, err)
	c.masters[i], c.runs[i] = m, start(c.t.Context(), m.Run)
}

// leader waits for a master that leads.
func (c *trio) leader() int {
	for {
		for i, m := range c.masters {
			if c.runs[i] != nil {
				if _, ok := m.Leading(); ok {
					return i
				}
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (c *trio) stop(i int) {
	require.NoError(c.t, c.runs[i].stop())
	c.runs[i] = nil
}

func TestThreeMastersOnRaftLoseNoTaskWhenTheLeaderStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTrio(t)
		b := c.load(30, c.startAll())
		for range 5 {
			<-b.launch
		}
		first := c.leader()
		reign, _ := c.masters[first].Leading()
		c.stop(first)
		second := c.leader()
		require.NotEqual(t, first, second)
		later, _ := c.masters[second].Leading()
		require.Greater(t, later, reign)
		<-b.done
		b.finished(t)
		c.start(first)
		b.stop(t)
		c.stopAll()
	})
}

func TestALeaderThatIsCutOffIsSucceededAndItsWritesAreNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTrio(t)
		c.startAll()
		first := c.leader()
		require.NoError(t, c.masters[first].SetWeight(t.Context(), "before", 2000))
		c.cutOff(first)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		require.Error(t, c.masters[first].SetWeight(ctx, "lost", 2000))
		cancel()
		second := c.successor(first)
		require.NoError(t, c.masters[second].SetWeight(t.Context(), "after", 3000))
		for i := range c.peers {
			if i != first {
				c.network.Heal(host(first), host(i))
			}
		}
		time.Sleep(5 * time.Second)
		_, still := c.masters[first].Leading()
		require.False(t, still)
		require.ErrorIs(t, c.masters[first].SetWeight(t.Context(), "x", 1), offer.Refuse(offer.ReasonNotLeader, ""))
		members, err := c.masters[second].Members(t.Context())
		require.NoError(t, err)
		require.Len(t, members, 3)
		c.stopAll()
	})
}

func TestAMasterIsAddedByHTTPAndAnotherRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTrio(t)
		c.startAll()
		lead := c.leader()
		elector, err := raft.New(raft.Config{Dir: t.TempDir(), NodeID: "id-4", Join: true})
		require.NoError(t, err)
		fourth, err := master.New(master.Config{Election: elector, Listen: "m4:5050", Advertise: "m4:5050", Network: c.network.From("m4")})
		require.NoError(t, err)
		run := start(t.Context(), fourth.Run)
		<-fourth.Ready()
		ask := func(m *master.Master, method, path, body string) (int, string) {
			w := httptest.NewRecorder()
			m.Handler().ServeHTTP(w, httptest.NewRequest(method, "http://m"+path, strings.NewReader(body)).WithContext(t.Context()))
			return w.Code, w.Body.String()
		}
		other := (lead + 1) % 3
		code, _ := ask(c.masters[other], "POST", "/members", `{"id":"id-4","address":"m4:5050"}`)
		require.Equal(t, http.StatusTemporaryRedirect, code)
		code, body := ask(c.masters[lead], "POST", "/members", `{"id":"id-4","address":"m4:5050"}`)
		require.Equal(t, http.StatusOK, code, body)
		code, body = ask(c.masters[lead], "DELETE", "/members/"+c.peers[other].ID, "")
		require.Equal(t, http.StatusOK, code, body)
		code, body = ask(c.masters[lead], "GET", "/members", "")
		require.Equal(t, http.StatusOK, code)
		require.Contains(t, body, "id-4")
		require.NotContains(t, body, c.peers[other].ID)
		time.Sleep(5 * time.Second)
		leader, ok := fourth.Leader()
		require.True(t, ok)
		require.Equal(t, c.peers[lead].Address, leader.Address)
		require.NoError(t, run.stop())
		c.stopAll()
	})
}
