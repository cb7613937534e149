package raft

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	hraft "github.com/hashicorp/raft"
)

var errStalled = errors.New("raft: this master's disk does not answer, it must not look alive as a leader")

// A transport is the library's, with three rules put around it: a leader whose disk hangs sends nothing, absurd terms are refused
// both ways, and what followers confirm is remembered. Embedding keeps the optional interfaces, WithPreVote above all.
type transport struct {
	*hraft.NetworkTransport
	consume chan hraft.RPC
	term    func() uint64 // this node's
	fresh   func() bool   // this node has no log yet and takes any term
	maxJump uint64
	guard   *guard
	stalled atomic.Bool

	stop     chan struct{}
	stopOnce sync.Once
	done     sync.WaitGroup
}

var (
	_ hraft.Transport   = (*transport)(nil)
	_ hraft.WithPreVote = (*transport)(nil)
	_ hraft.WithClose   = (*transport)(nil)
)

func newTransport(inner *hraft.NetworkTransport, term func() uint64, fresh func() bool, maxJump uint64, g *guard) *transport {
	t := &transport{
		NetworkTransport: inner, consume: make(chan hraft.RPC), term: term, fresh: fresh, maxJump: maxJump, guard: g,
		stop: make(chan struct{}),
	}
	t.done.Go(t.forward)
	return t
}

// forward lets requests through to the library if their term is sane.
func (t *transport) forward() {
	for {
		select {
		case rpc := <-t.NetworkTransport.Consumer():
			if !t.sane(rpc) {
				continue
			}
			select {
			case t.consume <- rpc:
			case <-t.stop:
				return
			}
		case <-t.stop:
			return
		}
	}
}

func (t *transport) sane(rpc hraft.RPC) bool {
	var term uint64
	switch r := rpc.Command.(type) {
	case *hraft.AppendEntriesRequest:
		term = r.Term
	case *hraft.RequestVoteRequest:
		term = r.Term
	case *hraft.RequestPreVoteRequest:
		term = r.Term
	case *hraft.InstallSnapshotRequest:
		term = r.Term
	}
	err := t.checkTerm(term)
	if err == nil {
		return true
	}
	if rpc.Reader != nil {
		_, _ = io.Copy(io.Discard, rpc.Reader)
	}
	rpc.Respond(nil, err)
	return false
}

func (t *transport) checkTerm(term uint64) error {
	own := t.term()
	if term <= own || term-own <= t.maxJump || t.fresh() && term < 1<<48 {
		return nil
	}
	return fmt.Errorf("raft: refused term %d: this node is at term %d and takes at most %d more", term, own, t.maxJump)
}

func (t *transport) Consumer() <-chan hraft.RPC { return t.consume }

func (t *transport) SetHeartbeatHandler(handle func(hraft.RPC)) {
	if handle == nil {
		t.NetworkTransport.SetHeartbeatHandler(nil)
		return
	}
	t.NetworkTransport.SetHeartbeatHandler(func(rpc hraft.RPC) {
		if t.sane(rpc) {
			handle(rpc)
		}
	})
}

// AppendEntriesPipeline is never used: see MaxRPCsInFlight.
func (t *transport) AppendEntriesPipeline(hraft.ServerID, hraft.ServerAddress) (hraft.AppendPipeline, error) {
	return nil, hraft.ErrPipelineReplicationNotSupported
}

func (t *transport) AppendEntries(id hraft.ServerID, target hraft.ServerAddress, args *hraft.AppendEntriesRequest,
	resp *hraft.AppendEntriesResponse) error {
	if t.stalled.Load() {
		return errStalled
	}
	if err := t.NetworkTransport.AppendEntries(id, target, args, resp); err != nil {
		return err
	}
	if err := t.checkTerm(resp.Term); err != nil {
		*resp = hraft.AppendEntriesResponse{}
		return err
	}
	has := mark{Term: resp.Term}
	if resp.Success {
		// What the follower holds up to here agrees with this leader's log, and what is committed of it can never be undone.
		has.Index = min(args.PrevLogEntry+uint64(len(args.Entries)), args.LeaderCommitIndex)
	}
	t.guard.saw(string(id), has)
	return nil
}

func (t *transport) RequestVote(id hraft.ServerID, target hraft.ServerAddress, args *hraft.RequestVoteRequest,
	resp *hraft.RequestVoteResponse) error {
	if err := t.NetworkTransport.RequestVote(id, target, args, resp); err != nil {
		return err
	}
	if err := t.checkTerm(resp.Term); err != nil {
		*resp = hraft.RequestVoteResponse{}
		return err
	}
	t.guard.saw(string(id), mark{Term: resp.Term})
	return nil
}

func (t *transport) RequestPreVote(id hraft.ServerID, target hraft.ServerAddress, args *hraft.RequestPreVoteRequest,
	resp *hraft.RequestPreVoteResponse) error {
	if err := t.NetworkTransport.RequestPreVote(id, target, args, resp); err != nil {
		return err
	}
	if err := t.checkTerm(resp.Term); err != nil {
		*resp = hraft.RequestPreVoteResponse{}
		return err
	}
	return nil
}

func (t *transport) InstallSnapshot(id hraft.ServerID, target hraft.ServerAddress, args *hraft.InstallSnapshotRequest,
	resp *hraft.InstallSnapshotResponse, data io.Reader) error {
	if t.stalled.Load() {
		return errStalled
	}
	if err := t.NetworkTransport.InstallSnapshot(id, target, args, resp, data); err != nil {
		return err
	}
	if err := t.checkTerm(resp.Term); err != nil {
		*resp = hraft.InstallSnapshotResponse{}
		return err
	}
	return nil
}

// Close ends the forwarding and the library's half. The stream under it is closed as well.
func (t *transport) Close() error {
	t.stopOnce.Do(func() { close(t.stop) })
	err := t.NetworkTransport.Close()
	t.NetworkTransport.CloseStreams()
	t.done.Wait()
	return err
}

const ioTimeout = 10 * time.Second
