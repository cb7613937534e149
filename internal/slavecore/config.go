package slavecore

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/offer"
)

// Config is what a Core is made of. Durations and limits that are zero get their defaults.
type Config struct {
	// Slave describes the machine. Its ID is ignored: the journal knows it, or the master assigns it.
	Slave offer.Slave
	// BootID names the boot of the machine. After another one no process of an earlier run lives (S2).
	BootID string
	// Seed feeds identifiers and jitter. It must differ from run to run, as Nonce must: together they keep UUIDs from repeating.
	Seed uint64
	// Nonce makes the attempts of one first registration recognisable. Random, drawn anew by each run.
	Nonce offer.UUID

	// RetryMin is the time after which an update that is not acknowledged is sent again; it doubles each time. Defaults to 10 s.
	RetryMin time.Duration
	// RetryMax caps it. Defaults to 10 min.
	RetryMax time.Duration
	// RegisterBackoff is the shortest time between two attempts to register on one connection; it doubles. Defaults to 1 s.
	RegisterBackoff time.Duration
	// RegisterBackoffMax caps it. Defaults to 1 min.
	RegisterBackoffMax time.Duration
	// RegisterAttempts is how many attempts on one connection go unanswered before it is dropped. Defaults to 5.
	RegisterAttempts int
	// PingTimeout is how long the master may be silent before the connection is dropped. Defaults to 75 s.
	PingTimeout time.Duration
	// ExecutorRegistrationTimeout is how long a new executor has to subscribe. Defaults to 1 min.
	ExecutorRegistrationTimeout time.Duration
	// ExecutorReregistrationTimeout is how long executors have to come back after a restart of the slave. Defaults to 2 s.
	ExecutorReregistrationTimeout time.Duration
	// ExecutorRecoveryTimeout is how long an executor may be away from a slave that runs. Defaults to 15 min.
	ExecutorRecoveryTimeout time.Duration
	// ExecutorShutdownGrace is what executors without a grace of their own get. Defaults to 5 s.
	ExecutorShutdownGrace time.Duration
	// StopTimeout is how long a slave that leaves, or was told to, waits for its tasks to end. Defaults to 1 min.
	StopTimeout time.Duration

	// MaxTasks bounds the tasks that the slave holds at once; a master takes back at most twice the default. Defaults to 25,000.
	MaxTasks int
	// MaxUpdates bounds the updates that wait in one task's stream. Defaults to 1,000.
	MaxUpdates int
	// MaxUpdateBytes bounds message and data of one executor's update. Defaults to 64 KiB.
	MaxUpdateBytes int
	// MaxOperations bounds the operations whose outcome is not acknowledged. Defaults to 10,000.
	MaxOperations int
	// MaxHeld bounds the messages that wait for a new reign to be on disk. Defaults to 65,536.
	MaxHeld int
	// MaxAnswers is how often an answer about a task that is not here is repeated before it is given up. Defaults to 8.
	MaxAnswers int
	// MaxProbes bounds the probes of checks and health checks that are under way at once. Defaults to 64.
	MaxProbes int
	// PartBytes is the estimated size at which a re-registration is cut into parts. Defaults to 1 MiB.
	PartBytes int
}

func or[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

func (c Config) withDefaults() Config {
	or(&c.RetryMin, 10*time.Second)
	or(&c.RetryMax, 10*time.Minute)
	or(&c.RegisterBackoff, time.Second)
	or(&c.RegisterBackoffMax, time.Minute)
	or(&c.RegisterAttempts, 5)
	or(&c.PingTimeout, 75*time.Second)
	or(&c.ExecutorRegistrationTimeout, time.Minute)
	or(&c.ExecutorReregistrationTimeout, 2*time.Second)
	or(&c.ExecutorRecoveryTimeout, 15*time.Minute)
	or(&c.ExecutorShutdownGrace, 5*time.Second)
	or(&c.StopTimeout, time.Minute)
	or(&c.MaxTasks, 25_000)
	or(&c.MaxUpdates, 1000)
	or(&c.MaxUpdateBytes, 64<<10)
	or(&c.MaxOperations, 10_000)
	or(&c.MaxHeld, 1<<16)
	or(&c.MaxAnswers, 8)
	or(&c.MaxProbes, 64)
	or(&c.PartBytes, 1<<20)
	return c
}

func (c Config) validate() error {
	durations := []struct {
		name string
		d    time.Duration
	}{{"RetryMin", c.RetryMin}, {"RetryMax", c.RetryMax}, {"RegisterBackoff", c.RegisterBackoff}, {"RegisterBackoffMax", c.RegisterBackoffMax},
		{"PingTimeout", c.PingTimeout}, {"ExecutorRegistrationTimeout", c.ExecutorRegistrationTimeout},
		{"ExecutorReregistrationTimeout", c.ExecutorReregistrationTimeout}, {"ExecutorRecoveryTimeout", c.ExecutorRecoveryTimeout},
		{"ExecutorShutdownGrace", c.ExecutorShutdownGrace}, {"StopTimeout", c.StopTimeout}}
	for _, f := range durations {
		if f.d < 0 {
			return fmt.Errorf("slave: config: %s is %v (allowed: more than zero)", f.name, f.d)
		}
	}
	limits := []struct {
		name string
		n    int
	}{{"RegisterAttempts", c.RegisterAttempts}, {"MaxTasks", c.MaxTasks}, {"MaxUpdates", c.MaxUpdates}, {"MaxUpdateBytes", c.MaxUpdateBytes},
		{"MaxOperations", c.MaxOperations}, {"MaxHeld", c.MaxHeld}, {"MaxAnswers", c.MaxAnswers}, {"MaxProbes", c.MaxProbes}, {"PartBytes", c.PartBytes}}
	for _, f := range limits {
		if f.n < 0 {
			return fmt.Errorf("slave: config: %s is %d (allowed: more than zero)", f.name, f.n)
		}
	}
	if c.RetryMax < c.RetryMin {
		return fmt.Errorf("slave: config: RetryMax is %v (allowed: at least RetryMin, %v)", c.RetryMax, c.RetryMin)
	}
	return nil
}
