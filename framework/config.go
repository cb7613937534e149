package framework

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// DefaultFailoverTimeout is what a zero Config.FailoverTimeout means.
const DefaultFailoverTimeout = time.Minute

// Config says who the framework is and how it finds the master. Name and one of Masters and Detector are required.
type Config struct {
	// Name is shown to operators. Required.
	Name string
	// ID resumes the framework that was given this id, with its tasks. Defaults to empty: a new framework.
	ID offer.FrameworkID
	// Roles are those in which resources are offered. Defaults to "*".
	Roles []string
	// Suppressed are roles that want no offers until Session.Revive. Defaults to none.
	Suppressed []string
	// FailoverTimeout is how long the cluster keeps the tasks while no session is connected: the time in which a scheduler that died
	// can come back with its ID. Negative means not at all. Defaults to DefaultFailoverTimeout.
	FailoverTimeout time.Duration
	// Principal is the identity that the master checks against the authenticated one, which is the common name of the certificate in TLS.
	// Defaults to empty: the authenticated one.
	Principal string
	// User is the operating system user of the tasks. Defaults to the slave's.
	User string
	// Hostname and WebURL are shown to operators. Default to empty.
	Hostname, WebURL string
	// Labels are kept for whoever lists frameworks. Default to none.
	Labels []resource.Label
	// NoCheckpoint lets the tasks die with their slave process. Defaults to false.
	NoCheckpoint bool
	// Capabilities is what the scheduler understands. Defaults to PartitionAware and KillingState.
	Capabilities offer.Capabilities
	// MinAllocatable is, role by role, the smallest offer worth making. Defaults to the cluster's.
	MinAllocatable map[string][]resource.Quantities
	// Constraints are, role by role, which slaves are worth offering: those that pass any one of the groups. Default to all slaves.
	Constraints map[string][]offer.ConstraintGroup

	// Masters are host:port addresses; each answers who leads, so that a part of them is enough. Required if Detector is nil.
	Masters []string
	// Detector tells who leads. Defaults to asking Masters.
	Detector election.Detector
	// TLS authenticates both sides. Defaults to plain text, which is refused for anything but loopback unless Insecure is set.
	TLS *tls.Config
	// Insecure allows plain text to other hosts. Defaults to false.
	Insecure bool
	// Network is where connections come from. Defaults to TCP.
	Network Network

	// Logger defaults to none.
	Logger *slog.Logger
	// MaxPending bounds the calls that wait for the session's loop; a caller waits beyond it. Defaults to 16,384.
	MaxPending int
	// Seed makes ids and jitter repeatable, for tests. Defaults to a random one.
	Seed uint64
}

// A Network is where sockets come from. Master, slave and framework have the same one, so that one value serves all three; a
// session only dials.
type Network interface {
	// Listen opens a listener on address, host:port. The caller closes it.
	Listen(ctx context.Context, address string) (net.Listener, error)
	// Dial opens a connection to address; ctx bounds the time that it takes. The caller closes it.
	Dial(ctx context.Context, address string) (net.Conn, error)
}

// Validate reports the first field with a value that is not allowed.
func (c Config) Validate() error {
	bad := func(field string, value any, allowed string) error {
		return offer.Refuse(offer.ReasonInvalidField, fmt.Sprintf("framework: Config.%s %v: %s", field, value, allowed))
	}
	if strings.TrimSpace(c.Name) == "" || len(c.Name) > offer.MaxID {
		return bad("Name", fmt.Sprintf("%.40q", c.Name), fmt.Sprintf("must have 1 to %d bytes", offer.MaxID))
	}
	if c.ID != "" {
		if err := offer.ValidateID("Config.ID", string(c.ID)); err != nil {
			return offer.Refuse(offer.ReasonInvalidField, "framework: "+err.Error())
		}
	}
	roles := map[string]bool{}
	for i, r := range c.roles() {
		if err := resource.ValidateRole(r); err != nil {
			return bad(fmt.Sprintf("Roles[%d]", i), fmt.Sprintf("%.40q", r), err.Error())
		}
		if roles[r] {
			return bad(fmt.Sprintf("Roles[%d]", i), fmt.Sprintf("%q", r), "must not repeat")
		}
		roles[r] = true
	}
	for i, r := range c.Suppressed {
		if !roles[r] {
			return bad(fmt.Sprintf("Suppressed[%d]", i), fmt.Sprintf("%.40q", r), "must be one of Roles")
		}
	}
	for r := range c.MinAllocatable {
		if !roles[r] {
			return bad("MinAllocatable", fmt.Sprintf("%.40q", r), "must name one of Roles")
		}
	}
	if err := offer.ValidateConstraints(c.Constraints, c.roles()); err != nil {
		return bad("Constraints", fmt.Sprintf("of %d roles", len(c.Constraints)), err.Error())
	}
	if c.Detector == nil && len(c.Masters) == 0 {
		return bad("Masters", "[]", "must have at least one host:port, or Detector be set")
	}
	for i, a := range c.Masters {
		if _, _, err := net.SplitHostPort(a); err != nil && c.Network == nil {
			return bad(fmt.Sprintf("Masters[%d]", i), fmt.Sprintf("%.60q", a), "must be host:port")
		}
	}
	if c.MaxPending < 0 {
		return bad("MaxPending", c.MaxPending, "must not be negative")
	}
	return nil
}

func (c Config) roles() []string {
	if len(c.Roles) == 0 {
		return []string{resource.AnyRole}
	}
	return c.Roles
}

// framework is the description that travels.
func (c Config) framework() offer.Framework {
	f := offer.Framework{ID: c.ID, Name: c.Name, User: c.User, Roles: c.roles(), Principal: c.Principal, Hostname: c.Hostname,
		WebURL: c.WebURL, Labels: c.Labels, FailoverTimeout: c.FailoverTimeout, NoCheckpoint: c.NoCheckpoint,
		Capabilities: c.Capabilities, MinAllocatable: c.MinAllocatable, Constraints: c.Constraints}
	switch {
	case f.FailoverTimeout == 0:
		f.FailoverTimeout = DefaultFailoverTimeout
	case f.FailoverTimeout < 0:
		f.FailoverTimeout = 0
	}
	if f.Capabilities == 0 {
		f.Capabilities = offer.PartitionAware | offer.KillingState
	}
	return f
}
