package raft

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meros-project/meros/election"
)

// ErrMetOthers is returned by Run of a master that has met others than one of those that it has met, so that no cluster can be formed. More
// masters were started than were expected, or some with an old folder: empty the folders of all, and start as many as are expected.
var ErrMetOthers = errors.New("raft: the masters of a new cluster have not all met the same others")

const (
	meetingFile  = "meeting"
	meetingPause = 100 * time.Millisecond
	meetingProbe = 2 * time.Second
)

// A meeting is the list of masters that this one has promised itself to, on its disk, and to no other list ever. A cluster is formed when all
// of a list have promised, and any two lists of masters that were told to expect the same number, of fewer than twice as many masters, have one in
// common: so there can be only one cluster. A majority would not do: two lists of three may have one master in common, or none of their two.
type meeting struct {
	peers  []election.Peer
	hash   string
	formed atomic.Bool // all have promised, and this master knows
}

func newMeeting(peers []election.Peer) *meeting {
	peers = slices.Clone(peers)
	slices.SortFunc(peers, func(a, b election.Peer) int { return strings.Compare(a.ID, b.ID) })
	sum := sha256.New()
	for _, p := range peers {
		fmt.Fprintf(sum, "%q %q\n", p.ID, p.Address)
	}
	return &meeting{peers: peers, hash: hex.EncodeToString(sum.Sum(nil)[:8])}
}

// promised is the meeting that the folder holds; nil if it holds none.
func promised(dir string) (*meeting, error) {
	b, err := os.ReadFile(filepath.Join(dir, meetingFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var peers []election.Peer
	if err == nil {
		err = json.Unmarshal(b, &peers)
	}
	if err == nil {
		peers, err = bootstrapPeers(peers)
	}
	if err != nil {
		return nil, fmt.Errorf("raft: read %s: %w", meetingFile, err)
	}
	return newMeeting(peers), nil
}

// promise writes a list down, before anybody is told.
func promise(dir string, peers []election.Peer) (*meeting, error) {
	m := newMeeting(peers)
	b, err := json.Marshal(m.peers)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = election.WriteFileDurably(filepath.Join(dir, meetingFile), append(b, '\n'))
	}
	if err != nil {
		return nil, fmt.Errorf("raft: promise: %w", err)
	}
	return m, nil
}

// meet waits until all others of the list have promised it, or one of them knows that all have.
func (e *Elector) meet(ctx context.Context, g *gate, m *meeting) error {
	if e.env.Dial == nil {
		return errors.New("raft: Env.Dial is nil, this master can meet nobody")
	}
	missing := slices.DeleteFunc(slices.Clone(m.peers), func(p election.Peer) bool { return p.ID == e.nodeID })
	e.log.Info("asking the other masters whether they have met the same", "others", missing)
	for {
		answers := make([]hello, len(missing))
		var wg sync.WaitGroup
		for i, p := range missing {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, meetingProbe)
				defer cancel()
				answers[i], _ = probe(ctx, e.env.Dial, p.Address, g.self)
			})
		}
		wg.Wait()
		var still []election.Peer
		for i, p := range missing {
			switch other := answers[i]; {
			case other.Node != p.ID || other.Cluster != e.cfg.Cluster || other.Meeting == "":
				still = append(still, p)
			case other.Meeting != m.hash:
				return fmt.Errorf("%w: %s at %s has met others than this one, which has met %v", ErrMetOthers, p.ID, p.Address, m.peers)
			case other.Formed:
				return nil
			}
		}
		if missing = still; len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(meetingPause):
		}
	}
}
