package election_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/meros-project/meros/election"
)

// registry is a Detector for a place that knows the leader some other way: a DNS name, a service catalogue, a test.
type registry struct {
	mu      sync.Mutex
	leader  election.Peer
	changed chan struct{}
}

func (r *registry) Set(p election.Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leader = p
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *registry) Detect(ctx context.Context, previous election.Peer) (election.Peer, error) {
	for {
		r.mu.Lock()
		leader, changed := r.leader, r.changed
		r.mu.Unlock()
		if leader != previous {
			return leader, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return election.Peer{}, ctx.Err()
		}
	}
}

// Whoever follows the leader asks again with the answer that it had. Slaves and frameworks do so with the Detector of their Config.
func ExampleDetector() {
	r := &registry{changed: make(chan struct{})}
	var detector election.Detector = r
	go r.Set(election.Peer{ID: "m-1", Address: "10.0.0.1:5050"})

	first, err := detector.Detect(context.Background(), election.Peer{})
	fmt.Println(first.Address, err)
	go r.Set(election.Peer{ID: "m-2", Address: "10.0.0.2:5050"})
	second, err := detector.Detect(context.Background(), first)
	fmt.Println(second.Address, err)
	// Output:
	// 10.0.0.1:5050 <nil>
	// 10.0.0.2:5050 <nil>
}

// counter is a state machine that counts entries. The opening entry of each reign is one of them, and its number makes a good reign.
type counter struct{ n uint64 }

func (c *counter) Apply(uint64, []byte) (any, error) { c.n++; return c.n, nil }

func (c *counter) Snapshot() (election.Snapshot, error) {
	return nil, errors.New("not before 8192 entries")
}

func (c *counter) Restore(io.Reader) error { return errors.New("there is no snapshot") }

// The log of a standalone elector is a folder: what was proposed in one life is applied again in the next.
func ExampleStandalone() {
	dir, err := os.MkdirTemp("", "meros-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for range 2 {
		e := election.Standalone(election.InDir(dir), election.SnapshotEvery(8192))
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() {
			ended <- e.Run(ctx, election.Env{StateMachine: &counter{}, Opening: func() []byte { return []byte("open") }, Advertise: "127.0.0.1:5050"})
		}()
		term := <-e.Terms()
		applied := make(chan struct{})
		term.Propose([]byte("hello"), func(index uint64, result any, err error) {
			fmt.Println("reign", term.Reign(), "entry", index, "is number", result, err)
			close(applied)
		})
		<-applied
		stop()
		fmt.Println("ended with", <-ended)
	}
	// Output:
	// reign 1 entry 2 is number 2 <nil>
	// ended with <nil>
	// reign 3 entry 4 is number 4 <nil>
	// ended with <nil>
}
