package zookeeper

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
)

// A fleet is masters that go on whatever happens to their ensemble, and what was committed by them.
type fleet struct {
	t       *testing.T
	members []*member
	term    election.Term
	want    []string
	reigns  []uint64
}

func startFleet(t *testing.T, n int, cfg func(i int) Config) *fleet {
	f := &fleet{t: t}
	for i := range n {
		f.members = append(f.members, startMember(t, i, cfg(i)))
	}
	f.term = nextOf(t, f.members...)
	f.reigns = append(f.reigns, f.term.Reign())
	return f
}

// say commits an entry, in this reign or a later one.
func (f *fleet) say(entry string) {
	f.t.Helper()
	f.term = commit(f.t, f.term, entry, f.members...)
	f.want = append(f.want, entry)
	f.reigns = append(f.reigns, f.term.Reign())
}

// over waits until the present reign has ended, whose masters may propose nothing more.
func (f *fleet) over() {
	f.t.Helper()
	select {
	case <-f.term.Done():
	case <-time.After(patience):
		f.t.Fatal("a reign goes on although there is no ensemble")
	}
	require.ErrorIs(f.t, propose(f.t, f.term, "nowhere"), election.ErrDeposed)
}

// well checks that there is one leader that all know, that nothing is lost, and that reigns rise.
func (f *fleet) well() {
	f.t.Helper()
	f.say(fmt.Sprint("well after ", len(f.want)))
	entries := agree(f.t, f.want[len(f.want)-1], f.members...)
	next := 0 // an entry whose outcome was unknown may be there twice
	for _, e := range entries {
		if next < len(f.want) && e == f.want[next] {
			next++
		}
	}
	require.Equal(f.t, len(f.want), next, "%q does not contain %q in this order", entries, f.want)
	require.NotContains(f.t, entries, "nowhere")
	eventually(f.t, "one leader that all know", func() bool {
		leaders, known := 0, map[election.Peer]bool{}
		for _, m := range f.members {
			if m.present() != nil {
				leaders++
			}
			p, _ := m.elector.Leader()
			known[p] = true
		}
		return leaders == 1 && len(known) == 1 && !known[election.Peer{}]
	})
	for i := 1; i < len(f.reigns); i++ {
		require.GreaterOrEqual(f.t, f.reigns[i], f.reigns[i-1])
	}
}

// All servers are gone for a minute, far longer than any session lasts, and come back with what they have written.
func TestAllServersAreGoneForAMinute(t *testing.T) {
	t.Parallel()
	servers := startEnsemble(t, 3)
	f := startFleet(t, 3, func(int) Config {
		return Config{Address: url(servers, "/minute"), SessionTimeout: 3 * time.Second, SnapshotEvery: 10}
	})
	for i := range 25 {
		f.say(fmt.Sprint("before ", i))
	}
	f.well()
	before := f.term.Reign()
	for _, s := range servers {
		s.Kill()
	}
	minute := time.After(time.Minute)
	f.over()
	<-minute
	for _, m := range f.members {
		require.Nil(t, m.present(), "a master leads without an ensemble")
	}
	for _, s := range servers {
		s.start()
	}
	f.well()
	require.Greater(t, f.term.Reign(), before)
}

// A server that hangs looks to all others as one that is cut off, and when it goes on it does not know that it was: the one that leads the
// ensemble does so, and then each of the others.
func TestServersAreCutOffFromTheOthers(t *testing.T) {
	t.Parallel()
	servers := startEnsemble(t, 3)
	f := startFleet(t, 3, func(int) Config { return Config{Address: url(servers, "/hangs"), SessionTimeout: 3 * time.Second} })
	for range servers {
		at := 0
		eventually(t, "a server that leads the ensemble", func() bool {
			for i, s := range servers {
				if s.Leads() {
					at = i
					return true
				}
			}
			return false
		})
		f.say("before")
		servers[at].Hang()
		f.say("without the server that led")
		f.say("and again")
		servers[at].Continue()
		servers[at].ready()
		f.well()
	}
}

// Masters that reach different servers, of which none reaches all, have one leader; the one that is cut off from every server is not it.
func TestMastersAreCutOffFromSomeServers(t *testing.T) {
	t.Parallel()
	servers := startEnsemble(t, 3)
	ways := make([][]*proxy, 3)
	f := startFleet(t, 3, func(i int) Config {
		var via []*server
		for _, s := range servers {
			p := newProxy(t, s.address)
			ways[i] = append(ways[i], p)
			via = append(via, &server{address: p.address()})
		}
		return Config{Address: url(via, "/some"), SessionTimeout: 3 * time.Second}
	})
	f.say("all reach all")
	for i := range ways { // each keeps one server, and not the same
		for j, p := range ways[i] {
			if i != j {
				p.cut()
			}
		}
	}
	f.well()
	for range 2 {
		var leader int
		eventually(t, "a leader", func() bool {
			for i, m := range f.members {
				if m.present() != nil {
					leader = i
					return true
				}
			}
			return false
		})
		for _, p := range ways[leader] {
			p.cut()
		}
		f.over()
		f.say("the others have gone on")
		eventually(t, "the one that is cut off knows that it does not lead", func() bool { return f.members[leader].present() == nil })
		ways[leader][leader].heal()
		f.well()
	}
	for _, way := range ways {
		for _, p := range way {
			p.heal()
		}
	}
	f.well()
}

// A tap knows the session of whoever dials through it.
type tap struct {
	mu       sync.Mutex
	id       uint64
	password []byte
	address  string
}

type tapped struct {
	net.Conn
	tap  *tap
	head []byte
}

func (p *tap) dial(ctx context.Context, address string) (net.Conn, error) {
	p.mu.Lock() // not while the session is being ended
	defer p.mu.Unlock()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &tapped{Conn: c, tap: p}, nil
}

// Read keeps the first answer: length, protocol, timeout, id of the session, its password with a length before it.
func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if len(c.head) < 40 {
		c.head = append(c.head, b[:n]...)
		if len(c.head) >= 40 {
			c.tap.mu.Lock()
			c.tap.id, c.tap.password = binary.BigEndian.Uint64(c.head[12:]), append([]byte(nil), c.head[24:40]...)
			c.tap.address = c.RemoteAddr().String()
			c.tap.mu.Unlock()
		}
	}
	return n, err
}

// expire ends the session at the server: it is taken over by another connection, which closes it before its owner can take it back.
func (p *tap) expire(t *testing.T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, err := net.Dial("tcp", p.address)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	send := func(b []byte) {
		_, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
		require.NoError(t, err)
	}
	greeting := binary.BigEndian.AppendUint32(make([]byte, 4+8), 3000) // protocol, what was seen last, timeout
	greeting = binary.BigEndian.AppendUint64(greeting, p.id)
	greeting = append(binary.BigEndian.AppendUint32(greeting, uint32(len(p.password))), p.password...)
	send(append(greeting, 0))
	head := make([]byte, 40)
	_, err = io.ReadFull(c, head)
	require.NoError(t, err)
	require.Equal(t, p.id, binary.BigEndian.Uint64(head[12:]), "the server has not taken the session in again")
	send([]byte{0, 0, 0, 1, 0xff, 0xff, 0xff, 0xf5}) // number 1, kind -11: close
	_, _ = io.Copy(io.Discard, c)                    // until the server hangs up
}

// A leader whose session is ended by the ensemble while it is well connected has another before it, and comes back with a new session.
func TestALeadersSessionIsExpiredByTheEnsemble(t *testing.T) {
	t.Parallel()
	servers := startEnsemble(t, 1)
	taps := []*tap{{}, {}}
	f := startFleet(t, 2, func(i int) Config {
		return Config{Address: url(servers, "/expired"), SessionTimeout: 20 * time.Second, Dial: taps[i].dial}
	})
	c := client(t, servers[0], "")
	for range 3 {
		f.well()
		leader := 0
		if f.members[1].present() != nil {
			leader = 1
		}
		eventually(t, "both are in the queue", func() bool { return queued(t, servers[0], "/expired") == 2 })
		names, _, err := c.Children("/expired")
		require.NoError(t, err)
		record := numbered(names, infoLabel)
		require.Len(t, record, 1)
		before := f.term.Reign()
		taps[leader].expire(t)
		_, _, err = c.Get("/expired/" + record[0])
		require.ErrorIs(t, err, zk.ErrNoNode)
		f.well()
		require.Greater(t, f.term.Reign(), before)
	}
}
