package discovery

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"
)

// Well-known tags.
const (
	TagRole    = "role"    // "master", "slave", or the program's own word
	TagAddress = "address" // host:port at which the member serves, not that of its gossip
	TagVersion = "version" // of the program
	TagLeader  = "leader"  // the reign, of the master that leads
)

const (
	maxMeta    = 512 // bytes of all tags, which travel in each of the member's announcements
	maxName    = 128
	maxCluster = 128
	maxJoin    = 64
)

// Config configures a Gossip. The zero value gossips alone on loopback.
type Config struct {
	// Name is this member's name, unique in the cluster: an id from a data folder, for one. Defaults to a random one.
	Name string
	// Bind is the host:port, TCP and UDP, to listen on; port 0 picks a free one. Defaults to "127.0.0.1:7946".
	Bind string
	// Advertise is the host:port, an IP address or name, at which others reach Bind. Defaults to Bind, or to the machine's private
	// address if Bind has none.
	Advertise string
	// Key encrypts and authenticates all gossip: 16, 24 or 32 bytes, the same for everyone. Defaults to none, which is accepted on
	// loopback only.
	Key []byte
	// MoreKeys are understood beside Key, while a cluster changes from one to another: see Gossip.SetKeys. At most seven. Defaults to none.
	MoreKeys [][]byte
	// Insecure accepts gossip without a Key on any address. Defaults to false.
	Insecure bool
	// Cluster is the cluster's name; members of different names never talk. Defaults to "meros".
	Cluster string
	// Tags are what the others see of this member, at most 512 bytes in all with two bytes for each of them. Defaults to none.
	Tags map[string]string
	// Join are the gossip addresses, host:port, of members to start from; one that answers is enough, and they are tried until one
	// does. Defaults to none: the first member.
	Join []string
	// Forget is how long a member that left or failed is still listed. Defaults to 1 h.
	Forget time.Duration
	// Logger defaults to none.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = newName()
	}
	if c.Bind == "" {
		c.Bind = "127.0.0.1:7946"
	}
	if c.Cluster == "" {
		c.Cluster = "meros"
	}
	if c.Forget == 0 {
		c.Forget = time.Hour
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func newName() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return "g-" + hex.EncodeToString(b[:])
}

// Validate tells which field is wrong and what is allowed.
func (c Config) Validate() error {
	c = c.withDefaults()
	if err := checkName("Name", c.Name, maxName); err != nil {
		return err
	}
	if err := checkName("Cluster", c.Cluster, maxCluster); err != nil {
		return err
	}
	host, port, err := splitHostPort("Bind", c.Bind)
	if err != nil {
		return err
	}
	if c.Advertise != "" {
		if host, p, err := splitHostPort("Advertise", c.Advertise); err != nil {
			return err
		} else if host == "" || p == 0 && port != 0 {
			return fmt.Errorf("discovery: Config.Advertise is %q, it needs a host and a port", c.Advertise)
		}
	}
	switch len(c.Key) {
	case 16, 24, 32:
	case 0:
		if ip := net.ParseIP(host); !c.Insecure && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("discovery: Config.Key is empty and Config.Bind is %q: gossip that is not encrypted is accepted on loopback "+
				"only; set a key of 16, 24 or 32 bytes, or Insecure", c.Bind)
		}
	default:
		return fmt.Errorf("discovery: Config.Key has %d bytes, allowed are 16, 24 and 32", len(c.Key))
	}
	if len(c.MoreKeys) > 0 && len(c.Key) == 0 {
		return errors.New("discovery: Config.MoreKeys is set and Config.Key is not: none of them would encrypt")
	}
	if _, err := newRing(c.keys()); err != nil {
		return err
	}
	if len(c.Join) > maxJoin {
		return fmt.Errorf("discovery: Config.Join has %d addresses, at most %d are allowed", len(c.Join), maxJoin)
	}
	for i, a := range c.Join {
		if host, port, err := splitHostPort(fmt.Sprintf("Join[%d]", i), a); err != nil {
			return err
		} else if host == "" || port == 0 {
			return fmt.Errorf("discovery: Config.Join[%d] is %q, it needs a host and a port", i, a)
		}
	}
	if c.Forget < 0 {
		return fmt.Errorf("discovery: Config.Forget is %v, it must be positive", c.Forget)
	}
	_, err = encodeMeta(c.Tags, false)
	return err
}

func (c Config) keys() [][]byte {
	if len(c.Key) == 0 {
		return nil
	}
	return append([][]byte{c.Key}, c.MoreKeys...)
}

func splitHostPort(field, address string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(p)
	}
	if err == nil && (port < 0 || port > 65535) {
		err = errors.New("port is out of range")
	}
	if err != nil {
		return "", 0, fmt.Errorf("discovery: Config.%s is %q, it must be host:port: %w", field, address, err)
	}
	return host, port, nil
}

func checkName(field, v string, limit int) error {
	if len(v) == 0 || len(v) > limit {
		return fmt.Errorf("discovery: Config.%s has %d bytes, allowed is 1 to %d", field, len(v), limit)
	}
	for _, r := range v {
		if r < 0x21 || r > 0x7e {
			return fmt.Errorf("discovery: Config.%s is %q, allowed is printable ASCII without spaces", field, v)
		}
	}
	return nil
}
