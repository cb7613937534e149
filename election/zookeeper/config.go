package zookeeper

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Errors that Run wraps.
var (
	// ErrForeign says that the path belongs to another cluster, or to something else, or that the registry that was there is gone.
	ErrForeign = errors.New("zookeeper: the path is not this cluster's")
	// ErrNotAllowed says that the ensemble does not let these credentials read or write below the path.
	ErrNotAllowed = errors.New("zookeeper: not allowed with these credentials")
	// ErrSASL says that the ensemble lets in only who authenticates by a scheme of SASL, which is not supported.
	ErrSASL = errors.New("zookeeper: sasl: not supported; use digest or TLS")
	// ErrDuplicateID says that another master runs under this master's id.
	ErrDuplicateID = errors.New("zookeeper: another master has this id")
	// ErrDamaged says that a node does not hold what a master writes.
	ErrDamaged = errors.New("zookeeper: damaged")
)

// Config says where the ensemble is and who this master is. Only Address is required.
type Config struct {
	// Address is the path of the cluster on the ensemble: zk://user:password@host1:2181,host2/path. With user and password all that is
	// written can be changed, and all but who leads be read, by them alone: they are for the digest scheme. SASL (Kerberos, DIGEST-MD5) is
	// not supported; use digest, or TLS, or both. Required.
	Address string
	// Cluster is the cluster's name; a path of another is refused. Defaults to "meros".
	Cluster string
	// NodeID is this master's id, unique in the cluster. Defaults to one that is derived from Env.Advertise.
	NodeID string
	// Dir is a folder in which this master remembers which registry it belongs to, so that one that was lost or replaced is refused
	// rather than begun anew. Defaults to none.
	Dir string
	// SessionTimeout is after how long without a word the ensemble gives this master up and another may lead; the ensemble may impose
	// another time. Defaults to 10 s.
	SessionTimeout time.Duration
	// SnapshotEvery is after how many entries a snapshot takes the place of the entries before it. Defaults to 8192.
	SnapshotEvery int
	// MaxSnapshot bounds a snapshot, in bytes: an ensemble keeps everything in memory. Defaults to 256 MiB.
	MaxSnapshot int64
	// Dial opens connections to servers. Defaults to TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// TLS is for servers with a secureClientPort, whose number goes into Address. Without a ServerName each server's certificate must be for
	// its host in Address. Servers that run on Java 8 know no version above 1.2. Defaults to plain text.
	TLS *tls.Config
}

func (c Config) withDefaults() Config {
	if c.Cluster == "" {
		c.Cluster = "meros"
	}
	if c.SessionTimeout == 0 {
		c.SessionTimeout = 10 * time.Second
	}
	if c.SnapshotEvery == 0 {
		c.SnapshotEvery = 8192
	}
	if c.MaxSnapshot == 0 {
		c.MaxSnapshot = 256 << 20
	}
	return c
}

const (
	minSession = 300 * time.Millisecond
	maxSession = 10 * time.Minute
	maxName    = 128
)

// Validate tells which field is wrong and what is allowed.
func (c Config) Validate() error {
	c = c.withDefaults()
	if _, err := ParseAddress(c.Address); err != nil {
		return fmt.Errorf("zookeeper: Config.Address: %w", err)
	}
	if err := checkName("Config.Cluster", c.Cluster); err != nil {
		return err
	}
	if c.NodeID != "" {
		if err := checkName("Config.NodeID", c.NodeID); err != nil {
			return err
		}
	}
	switch {
	case c.SessionTimeout < minSession || c.SessionTimeout > maxSession:
		return fmt.Errorf("zookeeper: Config.SessionTimeout is %v, allowed is %v to %v", c.SessionTimeout, minSession, maxSession)
	case c.SnapshotEvery < 1:
		return fmt.Errorf("zookeeper: Config.SnapshotEvery is %d, it must be positive", c.SnapshotEvery)
	case c.MaxSnapshot < 1 || c.MaxSnapshot > maxChunks*chunkBytes:
		return fmt.Errorf("zookeeper: Config.MaxSnapshot is %d, allowed is 1 to %d", c.MaxSnapshot, int64(maxChunks*chunkBytes))
	}
	return nil
}

func checkName(field, v string) error {
	if len(v) == 0 || len(v) > maxName {
		return fmt.Errorf("zookeeper: %s has %d bytes, allowed is 1 to %d", field, len(v), maxName)
	}
	if v == "." || v == ".." || strings.ContainsFunc(v, func(r rune) bool { return r < 0x21 || r > 0x7e || r == '/' }) {
		return fmt.Errorf("zookeeper: %s is %q, allowed is printable ASCII without spaces and slashes, and not dots alone", field, v)
	}
	return nil
}

func checkAdvertise(address string) error {
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" || port == "0" || len(address) > maxName {
		return fmt.Errorf("zookeeper: Env.Advertise is %.140q, it must be host:port of at most %d bytes", address, maxName)
	}
	return nil
}

// deriveID is the id of a master that was given none.
func deriveID(address string) string {
	sum := sha256.Sum256([]byte(address))
	return "m-" + hex.EncodeToString(sum[:6])
}
