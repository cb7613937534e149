package master_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/runloop"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A testSlave is the real core of a slave with a journal in memory and containers that are timers.
type testSlave struct {
	t       *testing.T
	network transport.Network
	masters []string
	name    string
	runs    time.Duration         // how long a task runs
	heard   func(message.Message) // told each message from the master; may be nil

	mu      sync.Mutex
	journal []slavecore.Record
	starts  map[string]int // by task

	core *slavecore.Core
	loop *runloop.Loop[slavecore.Event, slavecore.Effect]
	conn *transport.Conn
	no   uint64
	out  []message.Envelope
}

func newSlave(t *testing.T, n transport.Network, name string, masters ...string) *testSlave {
	return &testSlave{t: t, network: n, masters: masters, name: name, runs: 2 * time.Second, starts: map[string]int{}}
}

func (s *testSlave) run(ctx context.Context) {
	core, err := slavecore.New(time.Now(), slavecore.Config{
		Slave:  offer.Slave{Hostname: s.name, Resources: resource.Must("cpus:4;mem:4096;ports:[31000-32000]")},
		BootID: "b", Seed: rand.Uint64(), Nonce: offer.UUID{byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32()), 1},
	}, s.journal)
	require.NoError(s.t, err)
	s.core = core
	s.loop = runloop.New(runloop.Config[slavecore.Event, slavecore.Effect]{Core: core, Tick: slavecore.Tick{}, Perform: s.perform})
	var wg sync.WaitGroup
	wg.Go(func() { s.link(ctx) })
	require.NoError(s.t, s.loop.Run(ctx))
	wg.Wait()
}

func (s *testSlave) link(ctx context.Context) {
	dialer := transport.Dialer{Network: s.network}
	detector := transport.Addresses(s.masters, dialer, nil)
	defer detector.Close()
	for ctx.Err() == nil {
		if leader, err := detector.Detect(ctx, election.Peer{}); err == nil {
			if nc, err := dialer.Dial(ctx, leader.Address, transport.Node); err == nil {
				s.serve(ctx, transport.NewConn(nc, transport.ConnConfig{}))
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *testSlave) serve(ctx context.Context, c *transport.Conn) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	s.mu.Lock()
	s.no++
	no := s.no
	s.conn = c
	s.mu.Unlock()
	_ = s.loop.Post(ctx, slavecore.Connected{Conn: no})
	defer s.loop.Complete(slavecore.Disconnected{Conn: no})
	for {
		envs, err := c.Receive(nil)
		if err != nil {
			return
		}
		for _, e := range envs {
			if s.heard != nil {
				s.heard(e.Message)
			}
			if s.loop.Post(ctx, slavecore.FromMaster{Conn: no, Envelope: e}) != nil {
				return
			}
		}
	}
}

func (s *testSlave) perform(effects []slavecore.Effect) error {
	s.mu.Lock()
	c, no := s.conn, s.no
	s.mu.Unlock()
	for _, e := range effects {
		switch e := e.(type) {
		case slavecore.Send:
			if e.Conn == no {
				s.out = append(s.out, message.Envelope{Cluster: s.core.Cluster(), Reign: s.core.Reign(), Message: e.Message})
			}
		case slavecore.Reconnect:
			if c != nil {
				c.CloseAfterFlush(time.Second)
			}
		case slavecore.Checkpoint:
			s.mu.Lock()
			s.journal = append(s.journal, e.Records...)
			s.mu.Unlock()
			s.loop.Complete(slavecore.Checkpointed{Token: e.Token})
		case slavecore.Start:
			s.mu.Lock()
			s.starts[string(e.Task.ID)]++
			s.mu.Unlock()
			s.loop.Complete(slavecore.Started{Container: e.Container, PID: 1})
			time.AfterFunc(s.runs, func() { s.loop.Complete(slavecore.Exited{Container: e.Container, Known: true}) })
		case slavecore.Kill:
			s.loop.Complete(slavecore.Exited{Container: e.Container, Known: true, Exit: offer.Exit{Signal: 15}})
		}
	}
	if c != nil && len(s.out) > 0 {
		_ = c.Send(s.out...)
	}
	s.out = nil
	return nil
}

func (s *testSlave) started(task string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.starts[task]
}

// id is the slave's id once it is on its disk.
func (s *testSlave) id() offer.SlaveID {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.journal {
		if r, ok := r.(*slavecore.Registered); ok {
			return r.Slave.ID
		}
	}
	return ""
}

// connections are the numbers of the connections to a master so far.
func (s *testSlave) connections() (list []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.no {
		list = append(list, n+1)
	}
	return list
}
