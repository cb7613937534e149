package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/raft"
	"github.com/meros-project/meros/election/zookeeper"
)

// A tally is the state machine of an elector that is measured by itself: it counts reigns and entries.
type tally struct{ reign, entries uint64 }

var openReign = []byte("open")

// Apply implements election.StateMachine.
func (t *tally) Apply(_ uint64, entry []byte) (any, error) {
	if string(entry) == string(openReign) {
		t.reign++
		return t.reign, nil
	}
	t.entries++
	return t.entries, nil
}

// Snapshot implements election.StateMachine.
func (t *tally) Snapshot() (election.Snapshot, error) { return *t, nil }

// WriteTo implements election.Snapshot.
func (t tally) WriteTo(w io.Writer) (int64, error) {
	return 16, binary.Write(w, binary.BigEndian, [2]uint64{t.reign, t.entries})
}

// Release implements election.Snapshot.
func (tally) Release() {}

// Restore implements election.StateMachine.
func (t *tally) Restore(r io.Reader) error {
	var both [2]uint64
	if err := binary.Read(r, binary.BigEndian, &both); err != nil {
		return err
	}
	t.reign, t.entries = both[0], both[1]
	return nil
}

// newElector makes an elector with default settings: on Raft, or on the ensemble at this address.
func newElector(ensemble, dir string, peers []election.Peer) (election.Elector, error) {
	if ensemble != "" {
		return zookeeper.New(zookeeper.Config{Address: ensemble, Cluster: "bench", Dir: filepath.Join(dir, "zookeeper")})
	}
	return raft.New(raft.Config{Dir: dir, Cluster: "bench", Bootstrap: peers})
}

const writeEvery = 10 * time.Millisecond // by a leader, after its last write was committed

// runElector runs an elector by itself until ctx ends. While it leads it writes; wrote is called with the reign when the first of its writes
// is committed, and follows when it knows for the first time who leads.
func runElector(ctx context.Context, e election.Elector, ln net.Listener, verbose bool, wrote func(reign uint64), follows func()) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() {
		for term := range e.Terms() {
			writeWhile(ctx, term, wrote)
		}
	})
	wg.Go(func() {
		for {
			changed := e.LeaderChanged()
			if _, known := e.Leader(); known {
				follows()
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	})
	var dialer net.Dialer
	return e.Run(ctx, election.Env{StateMachine: &tally{}, Opening: func() []byte { return append([]byte(nil), openReign...) },
		Advertise: ln.Addr().String(), Listener: ln, Logger: newLogger(verbose),
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", address)
		}})
}

// writeWhile writes one entry after the other until the reign ends.
func writeWhile(ctx context.Context, term election.Term, wrote func(reign uint64)) {
	for first := true; ; {
		done := make(chan error, 1)
		term.Propose([]byte("write"), func(_ uint64, _ any, err error) { done <- err })
		var err error
		select {
		case err = <-done:
		case <-term.Done():
			return
		}
		if errors.Is(err, election.ErrDeposed) || ctx.Err() != nil {
			return
		}
		if err == nil && first {
			first = false
			wrote(term.Reign())
		}
		sleep(ctx, writeEvery)
	}
}
