package raft

import (
	"context"
	"errors"
	"fmt"
	"time"

	hraft "github.com/hashicorp/raft"
	"github.com/meros-project/meros/election"
)

// library returns the running consensus, or ErrDeposed.
func (e *Elector) library() (*hraft.Raft, error) {
	select {
	case <-e.running:
	default:
		return nil, election.ErrDeposed
	}
	if e.raft == nil {
		return nil, election.ErrDeposed
	}
	return e.raft, nil
}

// wait runs ask, which blocks until the library has answered, until it has or ctx ends. The answer that comes later is lost.
func (e *Elector) wait(ctx context.Context, ask func() hraft.Future) error {
	done := make(chan error, 1)
	if !e.help(func() { done <- ask().Error() }) {
		return election.ErrDeposed
	}
	select {
	case err := <-done:
		switch {
		case errors.Is(err, hraft.ErrNotLeader), errors.Is(err, hraft.ErrRaftShutdown), errors.Is(err, hraft.ErrLeadershipTransferInProgress):
			return election.ErrDeposed
		case errors.Is(err, hraft.ErrLeadershipLost):
			return election.ErrUnknown
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *Elector) servers() []hraft.Server {
	r, err := e.library()
	if err != nil {
		return nil
	}
	f := r.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	return f.Configuration().Servers
}

func (e *Elector) voters() (n int) {
	for _, s := range e.servers() {
		if s.Suffrage == hraft.Voter {
			n++
		}
	}
	return n
}

// Members implements election.Membership. It may be called on any master and tells what that one knows.
func (e *Elector) Members(context.Context) ([]election.Member, error) {
	r, err := e.library()
	if err != nil {
		return nil, err
	}
	_, leader := r.LeaderWithID()
	var out []election.Member
	for _, s := range e.servers() {
		out = append(out, election.Member{
			Peer:  election.Peer{ID: string(s.ID), Address: string(s.Address)},
			Voter: s.Suffrage == hraft.Voter, Leader: s.ID == leader,
		})
	}
	return out, nil
}

// Add implements election.Membership. A new master gets the log first and its vote once it has caught up, so that one that is slow
// or away never holds up the cluster: when ctx ends before, it stays a member without a vote, and Add may be repeated.
func (e *Elector) Add(ctx context.Context, p election.Peer) error {
	r, known, err := e.candidate(p)
	if err != nil {
		return err
	}
	id, address := hraft.ServerID(p.ID), hraft.ServerAddress(p.Address)
	switch {
	case known.Suffrage == hraft.Voter && known.Address == address:
		return nil
	case known.Suffrage == hraft.Voter && known.ID != "": // it has moved
		if err := e.stillThere(ctx, p, string(known.Address)); err != nil {
			return err
		}
		return e.wait(ctx, func() hraft.Future { return r.AddVoter(id, address, 0, 0) })
	case known.Address != address:
		if err := e.wait(ctx, func() hraft.Future { return r.AddNonvoter(id, address, 0, 0) }); err != nil {
			return err
		}
	}
	goal := r.CommitIndex()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for e.guard.confirmed(p.ID) < goal {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("raft: add master %s: it holds entry %d of %d and has no vote yet: %w", id, e.guard.confirmed(p.ID), goal, ctx.Err())
		case <-e.stopping:
			return election.ErrDeposed
		}
		if r.State() != hraft.Leader {
			return election.ErrDeposed
		}
	}
	return e.wait(ctx, func() hraft.Future { return r.AddVoter(id, address, 0, 0) })
}

// candidate finds out what is known of a master that is to be added, on the leader; its ID is empty when nothing is.
func (e *Elector) candidate(p election.Peer) (r *hraft.Raft, known hraft.Server, err error) {
	if err := errors.Join(checkName("Peer.ID", p.ID), checkAddress("Peer.Address", p.Address)); err != nil {
		return nil, known, err
	}
	if r, err = e.library(); err != nil {
		return nil, known, err
	}
	if r.State() != hraft.Leader {
		return nil, known, election.ErrDeposed
	}
	servers := e.servers()
	for _, s := range servers {
		switch {
		case string(s.ID) == p.ID:
			known = s
		case string(s.Address) == p.Address:
			return nil, known, fmt.Errorf("raft: add master %s: address %s is that of master %s", p.ID, p.Address, s.ID)
		}
	}
	if known.ID == "" && len(servers) >= maxPeers {
		return nil, known, fmt.Errorf("raft: add master %s: the cluster has %d masters, at most %d are allowed", p.ID, len(servers), maxPeers)
	}
	return r, known, nil
}

// stillThere is an error if the master that is to have moved answers where it was: then two have its id.
func (e *Elector) stillThere(ctx context.Context, p election.Peer, was string) error {
	if p.ID == e.nodeID {
		return fmt.Errorf("raft: add master %s: two masters have this id: one at %s, and the leader at %s", p.ID, p.Address, was)
	}
	if e.env.Dial == nil {
		return nil
	}
	if other, err := probe(ctx, e.env.Dial, was, e.greet); err == nil && other.Node == p.ID {
		return fmt.Errorf("raft: add master %s: two masters have this id: one at %s, and one that still answers at %s", p.ID, p.Address, was)
	}
	return nil
}

// AddNonVoter implements election.NonVoters. Add makes such a master a voter later. It does not wait until the master has caught up.
func (e *Elector) AddNonVoter(ctx context.Context, p election.Peer) error {
	r, known, err := e.candidate(p)
	switch {
	case err != nil:
		return err
	case known.ID == "":
	case known.Suffrage == hraft.Voter:
		return fmt.Errorf("raft: add master %s without a vote: it is a member with a vote, at %s; remove it first", p.ID, known.Address)
	case string(known.Address) != p.Address:
		return fmt.Errorf("raft: add master %s without a vote: it is a member at %s; remove it first", p.ID, known.Address)
	}
	return e.wait(ctx, func() hraft.Future { return r.AddNonvoter(hraft.ServerID(p.ID), hraft.ServerAddress(p.Address), 0, 0) })
}

// Remove implements election.Membership. The leader may remove itself: its reign ends when that is committed.
func (e *Elector) Remove(ctx context.Context, id string) error {
	r, err := e.library()
	if err != nil {
		return err
	}
	if r.State() != hraft.Leader {
		return election.ErrDeposed
	}
	voters, found := 0, false
	for _, s := range e.servers() {
		if s.Suffrage == hraft.Voter {
			voters++
		}
		found = found || string(s.ID) == id
	}
	if !found {
		return fmt.Errorf("raft: remove master %q: it is not in the configuration", id)
	}
	if voters == 1 && id == e.nodeID {
		return fmt.Errorf("raft: remove master %s: it is the last one with a vote", id)
	}
	return e.wait(ctx, func() hraft.Future { return r.RemoveServer(hraft.ServerID(id), 0, 0) })
}

// Transfer implements election.Transferer. The master must have a vote.
func (e *Elector) Transfer(ctx context.Context, id string) error {
	r, err := e.library()
	if err != nil {
		return err
	}
	if r.State() != hraft.Leader {
		return election.ErrDeposed
	}
	for _, s := range e.servers() {
		if string(s.ID) != id {
			continue
		}
		if s.Suffrage != hraft.Voter {
			return fmt.Errorf("raft: transfer leadership to master %s: it has no vote", id)
		}
		if id == e.nodeID {
			return nil
		}
		return e.transfer(ctx, func(r *hraft.Raft) hraft.Future { return r.LeadershipTransferToServer(s.ID, s.Address) })
	}
	return fmt.Errorf("raft: transfer leadership to master %q: it is not in the configuration", id)
}

func (e *Elector) transfer(ctx context.Context, begin func(*hraft.Raft) hraft.Future) error {
	r, err := e.library()
	if err != nil {
		return err
	}
	if err := e.wait(ctx, func() hraft.Future { return begin(r) }); err != nil {
		return fmt.Errorf("raft: transfer leadership: %w", err)
	}
	return nil
}

// TakeSnapshot implements election.Snapshotter.
func (e *Elector) TakeSnapshot(ctx context.Context) error {
	r, err := e.library()
	if err != nil {
		return err
	}
	if err := e.wait(ctx, func() hraft.Future { return r.Snapshot() }); err != nil && !errors.Is(err, hraft.ErrNothingNewToSnapshot) {
		return err
	}
	return nil
}
