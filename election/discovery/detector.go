package discovery

import (
	"context"
	"strconv"
	"time"

	"github.com/meros-project/meros/election"
)

// leaderOf returns the master with the highest reign among those that are there.
func leaderOf(members []Member) (leader election.Peer, reign uint64) {
	for _, m := range members {
		if m.State != Alive || m.Tags[TagRole] != RoleMaster || m.Tags[TagAddress] == "" {
			continue
		}
		r, err := strconv.ParseUint(m.Tags[TagLeader], 10, 64)
		if err == nil && r > reign {
			leader, reign = election.Peer{ID: m.Name, Address: m.Tags[TagAddress]}, r
		}
	}
	return leader, reign
}

// RoleMaster is the TagRole of masters: only they are looked at by a Detector.
const RoleMaster = "master"

type detector struct{ g *Gossip }

// Detector returns a detector of the leading master: the one whose TagLeader has the highest reign. It works while g runs.
func (g *Gossip) Detector() election.Detector { return detector{g} }

// Detect implements election.Detector.
func (d detector) Detect(ctx context.Context, previous election.Peer) (election.Peer, error) {
	for {
		members, changed := d.g.table.snapshot(time.Now())
		if leader, reign := leaderOf(members); reign > 0 && leader != previous {
			return leader, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return election.Peer{}, ctx.Err()
		}
	}
}
