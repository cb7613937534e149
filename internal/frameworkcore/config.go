package frameworkcore

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/offer"
)

// Config is what a Core is made of. Durations and limits that are zero get their defaults.
type Config struct {
	// Framework describes the scheduler. With an ID the session resumes it, without it registers a new one.
	Framework offer.Framework
	// Cluster is the cluster that the framework belongs to, if that is known from an earlier session. Defaults to the first one that answers.
	Cluster offer.ClusterID
	// Suppressed are roles that want no offers yet.
	Suppressed []string
	// Nonce makes the attempts of one session recognisable. Random, drawn anew by each session.
	Nonce offer.UUID
	// Seed feeds jitter.
	Seed uint64

	// SubscribeBackoff is the shortest time between two attempts to subscribe on one connection; it doubles. Defaults to 1 s.
	SubscribeBackoff time.Duration
	// SubscribeBackoffMax caps it. Defaults to 15 s.
	SubscribeBackoffMax time.Duration
	// SubscribeAttempts is how many attempts on one connection go unanswered before it is dropped. Defaults to 4.
	SubscribeAttempts int
	// HeartbeatMisses is how many heartbeats may fail to come before the connection counts as dead. Defaults to 5.
	HeartbeatMisses int
	// Heartbeat is the interval of heartbeats if the master does not name one. Defaults to 15 s.
	Heartbeat time.Duration
	// ReconcileInterval is the time between two reconciliations on a quiet connection. Defaults to 15 min.
	ReconcileInterval time.Duration
	// ReconcileBackoff is the time after which tasks that were not answered are asked for again; it doubles. Defaults to 500 ms.
	ReconcileBackoff time.Duration
	// ReconcileBackoffMax caps it. Defaults to 5 min.
	ReconcileBackoffMax time.Duration
	// TeardownTimeout is how long a teardown may wait for a master to confirm it. Defaults to 1 min.
	TeardownTimeout time.Duration

	// MaxOutstanding bounds the deliveries that the shell holds at once. Defaults to 128.
	MaxOutstanding int
	// MaxQueued bounds the deliveries that wait behind those. Defaults to 20,000. Beyond it, offers are declined, updates are left for their
	// slaves to repeat, and what is told once is dropped.
	MaxQueued int
	// MaxCalls bounds the calls that wait for a subscription. Defaults to 10,000.
	MaxCalls int
	// Window is the number of acknowledged updates that are remembered, so that a repeat is not delivered again. Defaults to 16,384.
	Window int
	// PartBytes is the estimated size at which an accept is cut into parts. Defaults to 1 MiB.
	PartBytes int
	// ReconcileBatch is the number of tasks that one Reconcile names. Defaults to 1,000.
	ReconcileBatch int
}

func or[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

func (c Config) withDefaults() Config {
	or(&c.SubscribeBackoff, time.Second)
	or(&c.SubscribeBackoffMax, 15*time.Second)
	or(&c.SubscribeAttempts, 4)
	or(&c.HeartbeatMisses, 5)
	or(&c.Heartbeat, 15*time.Second)
	or(&c.ReconcileInterval, 15*time.Minute)
	or(&c.ReconcileBackoff, 500*time.Millisecond)
	or(&c.ReconcileBackoffMax, 5*time.Minute)
	or(&c.TeardownTimeout, time.Minute)
	or(&c.MaxOutstanding, 128)
	or(&c.MaxQueued, 20_000)
	or(&c.MaxCalls, 10_000)
	or(&c.Window, 16_384)
	or(&c.PartBytes, 1<<20)
	or(&c.ReconcileBatch, 1000)
	return c
}

func (c Config) validate() error {
	for _, f := range []struct {
		name string
		d    time.Duration
	}{{"SubscribeBackoff", c.SubscribeBackoff}, {"SubscribeBackoffMax", c.SubscribeBackoffMax}, {"Heartbeat", c.Heartbeat},
		{"ReconcileInterval", c.ReconcileInterval}, {"ReconcileBackoff", c.ReconcileBackoff}, {"ReconcileBackoffMax", c.ReconcileBackoffMax},
		{"TeardownTimeout", c.TeardownTimeout}} {
		if f.d < 0 {
			return fmt.Errorf("framework: config: %s is %v (allowed: more than zero)", f.name, f.d)
		}
	}
	for _, f := range []struct {
		name string
		n    int
	}{{"SubscribeAttempts", c.SubscribeAttempts}, {"HeartbeatMisses", c.HeartbeatMisses}, {"MaxOutstanding", c.MaxOutstanding},
		{"MaxQueued", c.MaxQueued}, {"MaxCalls", c.MaxCalls}, {"Window", c.Window}, {"PartBytes", c.PartBytes}, {"ReconcileBatch", c.ReconcileBatch}} {
		if f.n < 0 {
			return fmt.Errorf("framework: config: %s is %d (allowed: more than zero)", f.name, f.n)
		}
	}
	if c.Framework.ID != "" {
		if err := offer.ValidateID("Framework.ID", string(c.Framework.ID)); err != nil {
			return fmt.Errorf("framework: config: %w", err)
		}
	}
	return nil
}
