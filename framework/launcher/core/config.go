package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// Config of a Core. The zero value is meaningful.
type Config struct {
	// Roles are those of the framework. Default to "*".
	Roles []string
	// Policy defaults to Spread.
	Policy Policy
	// Retry is for tasks and groups without one of their own. Defaults to its zero value.
	Retry Retry
	// Unreachable is for tasks without one of their own. Defaults to its zero value.
	Unreachable Unreachable
	// Gather is how long offers are collected before they are matched, so that there is a choice; negative: not at all. Defaults to 10 ms.
	Gather time.Duration
	// Hold is how long a group that lacks a part keeps the offers it has found, and how long it leaves them to others afterwards. Defaults to 10 s.
	Hold time.Duration
	// Refuse is for how long the master is asked not to offer again what could not be used, while something waits. Defaults to 10 s.
	Refuse time.Duration
	// ReviveEvery is the least time between two calls that end refusals. Defaults to 1 s.
	ReviveEvery time.Duration
	// KillAgain is the time after which a kill is repeated that has not ended its task. Defaults to 10 s.
	KillAgain time.Duration
	// Silence is the time after which the state of a task is asked for of which nothing was heard since its launch. Defaults to 1 min.
	Silence time.Duration
	// MaxTasks bounds the tasks that wait and run. Defaults to 200,000.
	MaxTasks int
	// MaxGroup bounds the members of a group. Defaults to 1,000.
	MaxGroup int
	// Work bounds how many tasks one Step looks for a place for; the rest is for the next. Defaults to 5,000.
	Work int
	// Look is how many offers that are large enough are compared for a task before the best is taken. Defaults to 64.
	Look int
	// KillStrangers kills tasks of this framework that nobody has submitted or adopted. Defaults to false: they are told of.
	KillStrangers bool
}

// Validate reports the first field with a value that is not allowed.
func (cfg Config) Validate() error {
	for i, r := range cfg.Roles {
		if err := resource.ValidateRole(r); err != nil {
			return bad(fmt.Sprintf("Config.Roles[%d]", i), within(r), err.Error())
		}
		if slices.Contains(cfg.Roles[:i], r) {
			return bad(fmt.Sprintf("Config.Roles[%d]", i), within(r), "must not repeat")
		}
	}
	if cfg.Policy > Pack {
		return bad("Config.Policy", uint8(cfg.Policy), "must be Spread, BestFit or Pack (1 to 3), or 0 for Spread")
	}
	if err := cfg.Retry.validate("Config.Retry"); err != nil {
		return err
	}
	if err := cfg.Unreachable.validate("Config.Unreachable"); err != nil {
		return err
	}
	if cfg.Gather > time.Minute {
		return bad("Config.Gather", cfg.Gather, "must be at most 1m")
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"Hold", cfg.Hold}, {"Refuse", cfg.Refuse}, {"ReviveEvery", cfg.ReviveEvery}, {"KillAgain", cfg.KillAgain}, {"Silence", cfg.Silence}} {
		if f.value < 0 || f.value > maxTime {
			return bad("Config."+f.name, f.value, "must be from 0 to a year, 0 for the default")
		}
	}
	for _, f := range []struct {
		name         string
		value, limit int
	}{{"MaxTasks", cfg.MaxTasks, 10_000_000}, {"MaxGroup", cfg.MaxGroup, 100_000}, {"Work", cfg.Work, 1_000_000}, {"Look", cfg.Look, 1_000_000}} {
		if f.value < 0 || f.value > f.limit {
			return bad("Config."+f.name, f.value, fmt.Sprintf("must be 1 to %d, or 0 for the default", f.limit))
		}
	}
	return nil
}

func (cfg Config) withDefaults() Config {
	if len(cfg.Roles) == 0 {
		cfg.Roles = []string{resource.AnyRole}
	}
	if cfg.Policy == 0 {
		cfg.Policy = Spread
	}
	cfg.Unreachable = cfg.Unreachable.withDefaults()
	for _, f := range []struct {
		value *time.Duration
		def   time.Duration
	}{{&cfg.Gather, 10 * time.Millisecond}, {&cfg.Hold, 10 * time.Second}, {&cfg.Refuse, 10 * time.Second}, {&cfg.ReviveEvery, time.Second},
		{&cfg.KillAgain, 10 * time.Second}, {&cfg.Silence, time.Minute}} {
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	for _, f := range []struct {
		value *int
		def   int
	}{{&cfg.MaxTasks, 200_000}, {&cfg.MaxGroup, 1_000}, {&cfg.Work, 5_000}, {&cfg.Look, 64}} {
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	return cfg
}

func (cfg *Config) hasRole(role string) bool { return slices.Contains(cfg.Roles, role) }

// full is the refusal of what does not fit any more.
func (cfg *Config) full(n int) *offer.Refusal {
	return offer.Refuse(offer.ReasonLimitReached, fmt.Sprintf("launcher: Config.MaxTasks %d: %d more tasks are too many", cfg.MaxTasks, n))
}
