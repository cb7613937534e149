package raft

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/meros-project/meros/election"
)

// ErrRolledBack is returned by Run when the data folder is older than what this node is known to have had: it was restored from a
// copy. Remove the node from the configuration and add it with an empty folder, or, knowing that the entries and votes in between
// are lost, set Config.Recover once.
var ErrRolledBack = errors.New("raft: the data folder is older than this node once was")

// Config configures an Elector. The zero value of every field but Dir is meaningful.
type Config struct {
	// Dir is the data folder: log, snapshots, identity. Created where it is missing, held by one process at a time. Required.
	Dir string
	// NodeID is this master's id, unique in the cluster for ever. Defaults to the id in Bootstrap of the peer with this master's
	// address, or else to a random one; it is kept in the data folder from then on.
	NodeID string
	// Cluster is the cluster's name; masters of different names never talk. Defaults to "meros".
	Cluster string
	// Bootstrap is the first configuration of a new cluster, the same on each of its masters and including this one. An empty ID
	// is derived from the address. Ignored once the data folder has a log. Defaults to this master alone.
	Bootstrap []election.Peer
	// Meet makes Bootstrap what this master believes, and the others may not: it is written to the log when every master in it has said that
	// it has the same list, so that masters that have met by chance form one cluster or none. See ErrMetOthers. Defaults to false: the
	// list was given to all by somebody who knows.
	Meet bool
	// Join starts an empty data folder without a configuration: the master waits until the leader adds it. Defaults to false.
	Join bool
	// Recover accepts a data folder that was rolled back; see ErrRolledBack. Defaults to false.
	Recover bool

	// HeartbeatTimeout is how long a follower waits for its leader before it stands for election. Defaults to 500 ms.
	HeartbeatTimeout time.Duration
	// ElectionTimeout is how long a candidate waits for votes before it tries again. Defaults to HeartbeatTimeout.
	ElectionTimeout time.Duration
	// LeaseTimeout is how long a leader leads without hearing from a majority. At most HeartbeatTimeout. Defaults to 4/5 of it.
	LeaseTimeout time.Duration
	// CommitTimeout is how long followers wait at most, without new entries, to hear that the last ones were committed. Defaults
	// to 50 ms.
	CommitTimeout time.Duration

	// SnapshotThreshold is how many entries are applied between two snapshots. Defaults to 8192.
	SnapshotThreshold uint64
	// SnapshotInterval is how often the threshold is looked at. Defaults to 30 s.
	SnapshotInterval time.Duration
	// TrailingLogs is how many entries are kept behind a snapshot, for followers that lag. Defaults to 8192.
	TrailingLogs uint64
	// MaxSnapshot is the largest snapshot that is taken from another master, in bytes. Defaults to 4 GiB.
	MaxSnapshot int64

	// MaxInFlight is how many entries are with the log at once; what is proposed beyond waits in the order of the calls. Defaults
	// to 128.
	MaxInFlight int
	// MaxTermJump is how far ahead of this master's term another's may be; beyond, its messages are refused. A master with an empty
	// log takes any. Defaults to 10,000.
	MaxTermJump uint64
	// StallHeartbeats is how long a write to the disk may take before this master stops leading. Defaults to 5 s.
	StallHeartbeats time.Duration
	// StallStop is how long a write to the disk may take before Run returns election.ErrDiskStalled. Defaults to 10 s.
	StallStop time.Duration
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if c.Cluster == "" {
		c.Cluster = "meros"
	}
	def(&c.HeartbeatTimeout, 500*time.Millisecond)
	def(&c.ElectionTimeout, c.HeartbeatTimeout)
	def(&c.LeaseTimeout, c.HeartbeatTimeout*4/5)
	def(&c.CommitTimeout, 50*time.Millisecond)
	def(&c.SnapshotInterval, 30*time.Second)
	def(&c.StallHeartbeats, 5*time.Second)
	def(&c.StallStop, 10*time.Second)
	if c.SnapshotThreshold == 0 {
		c.SnapshotThreshold = 8192
	}
	if c.TrailingLogs == 0 {
		c.TrailingLogs = 8192
	}
	if c.MaxSnapshot == 0 {
		c.MaxSnapshot = 4 << 30
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = 128
	}
	if c.MaxTermJump == 0 {
		c.MaxTermJump = 10_000
	}
	return c
}

const (
	maxName  = 128 // bytes of a cluster's name, a node id or an address
	maxPeers = 15
)

// Validate tells which field is wrong and what is allowed.
func (c Config) Validate() error {
	c = c.withDefaults()
	if c.Dir == "" {
		return errors.New("raft: Config.Dir is empty, a folder is required")
	}
	if err := checkName("Config.Cluster", c.Cluster); err != nil {
		return err
	}
	if c.NodeID != "" {
		if err := checkName("Config.NodeID", c.NodeID); err != nil {
			return err
		}
	}
	if c.Join && len(c.Bootstrap) > 0 {
		return errors.New("raft: Config.Join and Config.Bootstrap exclude each other")
	}
	if _, err := bootstrapPeers(c.Bootstrap); err != nil {
		return err
	}
	for _, d := range []struct {
		name     string
		v        time.Duration
		min, max time.Duration
	}{
		{"HeartbeatTimeout", c.HeartbeatTimeout, 20 * time.Millisecond, time.Minute},
		{"ElectionTimeout", c.ElectionTimeout, c.HeartbeatTimeout, 2 * time.Minute},
		{"LeaseTimeout", c.LeaseTimeout, 5 * time.Millisecond, c.HeartbeatTimeout},
		{"CommitTimeout", c.CommitTimeout, time.Millisecond, time.Minute},
		{"SnapshotInterval", c.SnapshotInterval, 10 * time.Millisecond, 24 * time.Hour},
		{"StallHeartbeats", c.StallHeartbeats, time.Millisecond, time.Hour},
		{"StallStop", c.StallStop, c.StallHeartbeats, time.Hour},
	} {
		if d.v < d.min || d.v > d.max {
			return fmt.Errorf("raft: Config.%s is %v, allowed is %v to %v", d.name, d.v, d.min, d.max)
		}
	}
	if c.MaxInFlight < 1 || c.MaxInFlight > 1<<16 {
		return fmt.Errorf("raft: Config.MaxInFlight is %d, allowed is 1 to 65536", c.MaxInFlight)
	}
	if c.MaxSnapshot < 1 {
		return fmt.Errorf("raft: Config.MaxSnapshot is %d, it must be positive", c.MaxSnapshot)
	}
	return nil
}

func checkName(field, v string) error {
	if len(v) == 0 || len(v) > maxName {
		return fmt.Errorf("raft: %s has %d bytes, allowed is 1 to %d", field, len(v), maxName)
	}
	for _, r := range v {
		if r < 0x21 || r > 0x7e {
			return fmt.Errorf("raft: %s is %q, allowed is printable ASCII without spaces", field, v)
		}
	}
	return nil
}

// bootstrapPeers gives each peer its id and refuses a list that two masters could read differently.
func bootstrapPeers(peers []election.Peer) ([]election.Peer, error) {
	if len(peers) > maxPeers {
		return nil, fmt.Errorf("raft: Config.Bootstrap has %d peers, at most %d are allowed", len(peers), maxPeers)
	}
	ids, addresses := map[string]bool{}, map[string]bool{}
	out := make([]election.Peer, 0, len(peers))
	for i, p := range peers {
		field := fmt.Sprintf("Config.Bootstrap[%d]", i)
		if err := checkAddress(field+".Address", p.Address); err != nil {
			return nil, err
		}
		if p.ID == "" {
			p.ID = DeriveID(p.Address)
		}
		if err := checkName(field+".ID", p.ID); err != nil {
			return nil, err
		}
		if ids[p.ID] || addresses[p.Address] {
			return nil, fmt.Errorf("raft: %s is %s at %s, which is in the list already", field, p.ID, p.Address)
		}
		ids[p.ID], addresses[p.Address] = true, true
		out = append(out, p)
	}
	return out, nil
}

func checkAddress(field, address string) error {
	if err := checkName(field, address); err != nil {
		return err
	}
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" || port == "0" {
		return fmt.Errorf("raft: %s is %q, it must be host:port", field, address)
	}
	return nil
}

// DeriveID returns the id that a peer of Config.Bootstrap has when none is given: the same on every master.
func DeriveID(address string) string {
	sum := sha256.Sum256([]byte(address))
	return "m-" + hex.EncodeToString(sum[:6])
}
