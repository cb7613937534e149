package master

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// Config says what a master is made of. Election and one of Listener and Listen are required.
type Config struct {
	// Election elects the leader among the masters and keeps the registry's log. Required; one Elector for one Master.
	Election election.Elector
	// Listener takes the connections of nodes, masters and HTTP clients. The master closes it. Defaults to one on Listen.
	Listener net.Listener
	// Listen is the host:port to listen on, read when Listener is nil. Required then.
	Listen string
	// Advertise is the host:port under which others reach this master. Defaults to the listener's address.
	Advertise string
	// ClusterName is the beginning of the cluster's identity, fixed by the first master that ever leads; a master with another name than
	// its data folder's cluster refuses to run. Defaults to "meros".
	ClusterName string
	// TLS authenticates both sides; TLS 1.3 between nodes. It needs Certificates for this master, RootCAs for the other masters, and ClientCAs:
	// with it, nodes must show a certificate that it signed, whose common name (or first DNS name) is their principal; without it, whoever
	// can connect is taken for a node. Defaults to plain text, which is refused on anything but loopback unless Insecure is set.
	TLS *tls.Config
	// Insecure allows plain text beyond loopback. Defaults to false.
	Insecure bool
	// Network listens on Listen and dials the other masters. Defaults to TCP.
	Network Network

	// Logger defaults to none.
	Logger *slog.Logger
	// Hooks feed metrics and tests. Default to none.
	Hooks Hooks

	// Recorder records what the core is told while this master leads. Defaults to nothing.
	Recorder Recorder

	// OfferTimeout is how long an offer may stay unanswered before it is rescinded. Defaults to two minutes; negative means for ever.
	OfferTimeout time.Duration
	// PingInterval is the time between two pings of a slave. Defaults to 15 s.
	PingInterval time.Duration
	// MaxMissedPings is how many pings may go unanswered before the slave counts as unreachable. Defaults to 5.
	MaxMissedPings int
	// ReregisterTimeout is how long a new leader waits for the slaves in the registry before it counts them as unreachable. Defaults to 10
	// minutes.
	ReregisterTimeout time.Duration
	// HeartbeatInterval is the longest time that a framework's connection is quiet. Defaults to 15 s.
	HeartbeatInterval time.Duration
	// MinAllocatable is the smallest offer worth making: one that contains any one of the sets. Defaults to 0.01 cpus, or 32 MiB.
	MinAllocatable []resource.Quantities
	// Allocation is how resources are shared out: the order of frameworks, scarce kinds, shares of slaves, regions. Its Seed and
	// MinAllocatable default to those of the master, its MaxOutstanding to 20,000.
	Allocation allocator.Config

	// MaxConns bounds the node connections. Defaults to 131,072.
	MaxConns int
	// MaxPending bounds the messages that wait for the core; connections wait beyond it. Defaults to 16,384.
	MaxPending int
	// Version is that of the host program, for operators. Defaults to none.
	Version string
	// MaxCalls bounds the operators' calls in flight. Defaults to 1,024.
	MaxCalls int
	// Seed makes ids and jitter repeatable, for tests. Defaults to a random one.
	Seed uint64
}

// A Network is where sockets come from. Master, slave and framework have the same one, so that one value serves all three.
type Network interface {
	// Listen opens a listener on address, host:port. The caller closes it.
	Listen(ctx context.Context, address string) (net.Listener, error)
	// Dial opens a connection to address; ctx bounds the time that it takes. The caller closes it.
	Dial(ctx context.Context, address string) (net.Conn, error)
}

// Hooks are functions that are called when something has happened; nil ones are not. They must return at once.
type Hooks struct {
	// Elected is called when this master begins to lead.
	Elected func(reign uint64)
	// Deposed is called when it has ceased to.
	Deposed func(reign uint64)
	// Note is called for each decision that is worth a line in the log.
	Note func(Note)
}

// A Note is one decision of the leading master. Fields that do not apply are empty.
type Note struct {
	Event     string // stable name in lower case, such as "slave admitted"
	Slave     offer.SlaveID
	Framework offer.FrameworkID
	Task      offer.TaskID
	Reason    offer.Reason
	Text      string
}

// Validate reports the first field with a value that is not allowed.
func (c Config) Validate() error {
	bad := func(field string, value any, allowed string) error {
		return offer.Refuse(offer.ReasonInvalidField, fmt.Sprintf("master: Config.%s %v: %s", field, value, allowed))
	}
	if c.Election == nil {
		return bad("Election", "nil", "is required")
	}
	if c.Listener == nil && c.Listen == "" {
		return bad("Listen", `""`, "is required when Listener is nil")
	}
	if c.Listener == nil && c.Network == nil {
		if _, _, err := net.SplitHostPort(c.Listen); err != nil {
			return bad("Listen", fmt.Sprintf("%.60q", c.Listen), "must be host:port")
		}
	}
	if c.Advertise != "" && c.Network == nil {
		if _, _, err := net.SplitHostPort(c.Advertise); err != nil {
			return bad("Advertise", fmt.Sprintf("%.60q", c.Advertise), "must be host:port")
		}
	}
	if c.ClusterName != "" {
		if err := offer.ValidateID("Config.ClusterName", c.ClusterName); err != nil {
			return offer.Refuse(offer.ReasonInvalidField, "master: "+err.Error())
		}
		if len(c.ClusterName) > maxClusterName {
			return bad("ClusterName", fmt.Sprintf("%.40q", c.ClusterName), fmt.Sprintf("must have at most %d bytes", maxClusterName))
		}
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"PingInterval", c.PingInterval}, {"ReregisterTimeout", c.ReregisterTimeout}, {"HeartbeatInterval", c.HeartbeatInterval}} {
		if f.value < 0 {
			return bad(f.name, f.value, "must not be negative")
		}
	}
	for _, f := range []struct {
		name  string
		value int
	}{{"MaxMissedPings", c.MaxMissedPings}, {"MaxConns", c.MaxConns}, {"MaxPending", c.MaxPending}, {"MaxCalls", c.MaxCalls}} {
		if f.value < 0 {
			return bad(f.name, f.value, "must not be negative")
		}
	}
	if err := c.Recorder.validate(); err != nil {
		return err
	}
	shares := c.allocation(0)
	if err := shares.Validate(); err != nil {
		return offer.Refuse(offer.ReasonInvalidField, "master: Config.Allocation: "+err.Error())
	}
	return nil
}

// allocation is the whole configuration of the allocator.
func (c Config) allocation(seed uint64) allocator.Config {
	out := c.Allocation
	out.Seed = cmp.Or(out.Seed, seed)
	out.MaxOutstanding = cmp.Or(out.MaxOutstanding, mastercore.DefaultMaxOffers)
	if out.MinAllocatable == nil {
		out.MinAllocatable = c.MinAllocatable
	}
	return out
}

// maxClusterName leaves room for the rest of a cluster id.
const maxClusterName = 128

func (c Config) withDefaults() Config {
	if c.ClusterName == "" {
		c.ClusterName = "meros"
	}
	if c.MaxConns == 0 {
		c.MaxConns = 131_072
	}
	if c.MaxCalls == 0 {
		c.MaxCalls = 1024
	}
	if c.Network == nil {
		c.Network = transport.TCP()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
