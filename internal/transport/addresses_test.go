package transport

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport/memtransport"
)

// A fakeMaster answers Watch, and tells its watchers of changes.
type fakeMaster struct {
	addr    string
	network *memtransport.Network
	mux     *Mux
	ended   chan struct{}

	mu      sync.Mutex
	leader  message.Leader
	silent  bool
	conns   []*Conn
	watches int
}

func startMaster(t *testing.T, n *memtransport.Network, addr string) *fakeMaster {
	f := &fakeMaster{addr: addr, network: n}
	f.start(t)
	return f
}

func (f *fakeMaster) start(t *testing.T) {
	ln, err := f.network.Listen(context.Background(), f.addr)
	require.NoError(t, err)
	f.mux, f.ended = NewMux(ln, MuxConfig{}), make(chan struct{})
	nodes := f.mux.Listener(Node)
	go func() { defer close(f.ended); _ = f.mux.Run(context.Background()) }()
	go func() {
		for {
			nc, err := nodes.Accept()
			if err != nil {
				return
			}
			c := NewConn(nc, ConnConfig{})
			f.mu.Lock()
			f.conns = append(f.conns, c)
			f.mu.Unlock()
			go f.serve(c)
		}
	}()
}

func (f *fakeMaster) serve(c *Conn) {
	for {
		envs, err := c.Receive(nil)
		if err != nil {
			return
		}
		f.mu.Lock()
		f.watches += len(envs)
		l := f.leader
		if !f.silent {
			_ = c.Send(message.Envelope{Message: &l})
		}
		f.mu.Unlock()
	}
}

func (f *fakeMaster) tell(leader string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leader = message.Leader{Known: leader != "", ID: leader, Address: leader}
	for _, c := range f.conns {
		_ = c.Send(message.Envelope{Message: new(f.leader)})
	}
}

func (f *fakeMaster) hang() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silent = true
}

func (f *fakeMaster) stop() {
	_ = f.mux.Close()
	<-f.ended
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		_ = c.Close()
	}
	f.conns = nil
}

func (f *fakeMaster) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.watches
}

func withMasters(t *testing.T, test func(t *testing.T, masters []*fakeMaster, d *AddressDetector)) {
	synctest.Test(t, func(t *testing.T) {
		n := memtransport.New()
		var masters []*fakeMaster
		var addrs []string
		for i := range 3 {
			masters = append(masters, startMaster(t, n, fmt.Sprintf("m%d:5050", i)))
			addrs = append(addrs, masters[i].addr)
		}
		d := Addresses(addrs, Dialer{Network: n}, nil)
		defer func() {
			require.NoError(t, d.Close())
			_, err := d.Detect(context.Background(), election.Peer{})
			require.ErrorIs(t, err, net.ErrClosed)
			for _, m := range masters {
				m.stop()
			}
			require.Zero(t, n.Connections())
		}()
		test(t, masters, d)
	})
}

func peer(addr string) election.Peer { return election.Peer{ID: addr, Address: addr} }

func detect(t *testing.T, d *AddressDetector, previous election.Peer) (election.Peer, time.Duration) {
	t.Helper()
	began := time.Now()
	p, err := d.Detect(context.Background(), previous)
	require.NoError(t, err)
	return p, time.Since(began)
}

func tellAll(masters []*fakeMaster, leader string) {
	for _, m := range masters {
		m.tell(leader)
	}
}

func TestAnyMasterTellsTheLeaderAndItsChanges(t *testing.T) {
	withMasters(t, func(t *testing.T, masters []*fakeMaster, d *AddressDetector) {
		tellAll(masters, "m1:5050")
		first, took := detect(t, d, election.Peer{})
		require.Equal(t, peer("m1:5050"), first)
		require.Zero(t, took)
		time.AfterFunc(time.Hour, func() { tellAll(masters, "") })
		time.AfterFunc(time.Hour+time.Second, func() { tellAll(masters, "m2:5050") })
		next, took := detect(t, d, first)
		require.Equal(t, peer("m2:5050"), next)
		require.Equal(t, time.Hour+time.Second, took)
		total := 0
		for _, m := range masters {
			total += m.asked()
		}
		require.Equal(t, 1, total, "one watch is enough")
	})
}

func TestTheDeathOfTheMasterThatIsWatchedIsNoticed(t *testing.T) {
	withMasters(t, func(t *testing.T, masters []*fakeMaster, d *AddressDetector) {
		tellAll(masters, "m0:5050")
		first, _ := detect(t, d, election.Peer{})
		for range 3 { // one after the other dies and comes back
			for i, m := range masters {
				m.stop()
				other := masters[(i+1)%3].addr
				tellAll(masters, other)
				next, took := detect(t, d, first)
				require.Equal(t, peer(other), next)
				require.LessOrEqual(t, took, 400*time.Millisecond)
				first = next
				m.start(t)
			}
		}
	})
}

func TestAnAnswerIsAskedAnewAfterAFailedConnection(t *testing.T) {
	withMasters(t, func(t *testing.T, masters []*fakeMaster, d *AddressDetector) {
		tellAll(masters, "m0:5050")
		first, _ := detect(t, d, election.Peer{})
		time.Sleep(time.Minute)
		before := masters[0].asked() + masters[1].asked() + masters[2].asked()
		same, took := detect(t, d, election.Peer{}) // the leader is the same, but freshly so
		require.Equal(t, first, same)
		require.Zero(t, took)
		require.Equal(t, before+1, masters[0].asked()+masters[1].asked()+masters[2].asked())
	})
}

func TestAMasterThatHangsIsLeft(t *testing.T) {
	withMasters(t, func(t *testing.T, masters []*fakeMaster, d *AddressDetector) {
		tellAll(masters, "m0:5050")
		detect(t, d, election.Peer{})
		time.Sleep(time.Minute)
		for _, m := range masters { // hang the one that is watched, whichever it is; the others know better
			if m.asked() > 0 {
				m.hang()
				continue
			}
			m.tell("m2:5050")
		}
		next, took := detect(t, d, election.Peer{})
		require.Equal(t, peer("m2:5050"), next)
		require.Less(t, took, 1500*time.Millisecond)
	})
}

func TestAMasterThatKnowsNoLeaderIsLeft(t *testing.T) {
	withMasters(t, func(t *testing.T, masters []*fakeMaster, d *AddressDetector) {
		masters[2].tell("m2:5050")
		got, took := detect(t, d, election.Peer{})
		require.Equal(t, peer("m2:5050"), got)
		require.Less(t, took, 5*time.Second)
	})
}

func TestDetectEndsWithItsContext(t *testing.T) {
	withMasters(t, func(t *testing.T, masters []*fakeMaster, d *AddressDetector) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err := d.Detect(ctx, election.Peer{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		closed := make(chan error)
		go func() {
			_, err := d.Detect(context.Background(), election.Peer{})
			closed <- err
		}()
		time.Sleep(time.Second)
		require.NoError(t, d.Close())
		require.ErrorIs(t, <-closed, net.ErrClosed)
	})
	_, err := Addresses(nil, Dialer{}, nil).Detect(context.Background(), election.Peer{})
	require.ErrorContains(t, err, "no addresses")
}

func TestMastersThatAreDownAreNotFlooded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &counting{Network: memtransport.New()}
		d := Addresses([]string{"m0:5050", "m1:5050"}, Dialer{Network: n}, nil)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err := d.Detect(ctx, election.Peer{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, d.Close())
		require.Greater(t, n.dials, 60)
		require.Less(t, n.dials, 300)
	})
}

type counting struct {
	Network
	dials int
}

func (c *counting) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c.dials++
	return c.Network.Dial(ctx, addr)
}
