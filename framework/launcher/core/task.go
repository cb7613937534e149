package core

import (
	"fmt"
	"strings"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// Bounds of what can be asked for.
const (
	// MaxTaskID is the longest id of a task, in bytes: what follows it in the ids of later attempts has room.
	MaxTaskID = 240
	// MaxPorts is how many ports a task may ask for by count.
	MaxPorts = 1000
	// MaxPriority is the highest priority; its negative is the lowest.
	MaxPriority = 1_000_000
	// MaxConstraints is how many constraints a task may have.
	MaxConstraints = 32
)

// A Policy says which of the slaves that could take a task gets it.
type Policy uint8

// The policies. The zero value stands for the configured one.
const (
	// Spread takes the slave with the fewest tasks of the same set; among those the one with the most left.
	Spread Policy = iota + 1
	// BestFit takes the slave that has the least left.
	BestFit
	// Pack takes a slave that runs tasks of this framework already, the one with the least left, before any other.
	Pack
)

// String returns the policy in words.
func (p Policy) String() string {
	switch p {
	case 0:
		return "default"
	case Spread:
		return "spread"
	case BestFit:
		return "best fit"
	case Pack:
		return "pack"
	}
	return fmt.Sprintf("policy %d", uint8(p))
}

// A Task is one thing that should run, and where.
type Task struct {
	// Task is what runs. Its ID is that of the first attempt; later ones have ".2", ".3" and so on behind it. SlaveID is not read. Resources may
	// name ports ("ports:[8080-8080]"), reservations and volumes, which are then taken as they are.
	Task offer.Task
	// Role is that of the offers it may use. Defaults to the first one configured.
	Role string
	// Priority decides who is first when there is not enough: higher ones, and among equals those submitted earlier. Defaults to 0.
	Priority int
	// Policy defaults to the configured one.
	Policy Policy
	// Ports is how many ports it needs, whichever they are: the lowest that are offered. They are in the resources of what is launched, and a
	// command finds them in its environment as PORT0, PORT1 and so on, PORT (the first) and PORTS (all, with commas between). Defaults to none.
	Ports int
	// Set names the tasks that constraints and Spread count together, such as the instances of one app. Defaults to its own ID: a set of one.
	Set string
	// Constraints say where it may run, all of them at once. Default to none.
	Constraints []Constraint
	// Backoff names those that are delayed together when one of them fails, such as the instances of one version. Defaults to itself alone.
	Backoff string
	// Retry defaults to the configured one.
	Retry *Retry
	// Unreachable defaults to the configured one.
	Unreachable *Unreachable
}

// A Group is tasks of which all run or none, each on a slave of its own or not, as constraints and policies have it. All are launched at the same
// time. When a member ends otherwise than by TASK_FINISHED, the others are killed, and the group is tried again as a whole or has ended,
// as Retry says. Members have no Priority, Backoff and Retry of their own, and a common Role.
type Group struct {
	// ID is unique among groups and tasks.
	ID       string
	Tasks    []Task
	Priority int
	Backoff  string
	Retry    *Retry
}

// A Placed is where an attempt was launched. Hand it to Adopt for tasks that run already.
type Placed struct {
	Task       offer.TaskID // of the attempt
	Attempt    int          // counted from 1
	Slave      offer.SlaveID
	Hostname   string
	Attributes []offer.Attribute
	Domain     offer.Domain
	Ports      []uint64 // those asked for by count, ascending
	Launched   time.Time
}

func bad(field string, value any, allowed string) *offer.Refusal {
	return offer.Refuse(offer.ReasonInvalidField, fmt.Sprintf("launcher: %s %v: %s", field, value, allowed))
}

func within(text string) string {
	if len(text) > 40 {
		text = text[:40] + "..."
	}
	return fmt.Sprintf("%q", text)
}

// Validate checks a group and its members; the error names the field, the value and what is allowed.
func (g *Group) Validate(cfg Config) error { return g.validate(cfg, nil) }

func (g *Group) validate(cfg Config, known map[Constraint]*rule) error {
	cfg = cfg.withDefaults()
	if err := offer.ValidateID("id", g.ID); err != nil || len(g.ID) > MaxTaskID {
		return bad("Group.ID", within(g.ID), fmt.Sprintf("must have 1 to %d bytes without '/', '\\' and control characters", MaxTaskID))
	}
	if len(g.Tasks) == 0 || len(g.Tasks) > cfg.MaxGroup {
		return bad("Group.Tasks", fmt.Sprintf("of %d", len(g.Tasks)), fmt.Sprintf("must have 1 to %d members", cfg.MaxGroup))
	}
	if err := validateOrder("Group", g.Priority, g.Backoff, g.Retry); err != nil {
		return err
	}
	seen := map[offer.TaskID]bool{}
	for i := range g.Tasks {
		t := &g.Tasks[i]
		field := fmt.Sprintf("Group.Tasks[%d]", i)
		switch {
		case t.Priority != 0:
			return bad(field+".Priority", t.Priority, "must be 0, that of a group counts")
		case t.Backoff != "":
			return bad(field+".Backoff", within(t.Backoff), "must be empty, that of a group counts")
		case t.Retry != nil:
			return bad(field+".Retry", "", "must be nil, that of a group counts")
		case seen[t.Task.ID]:
			return bad(field+".Task.ID", within(string(t.Task.ID)), "must not repeat")
		case t.Role != g.Tasks[0].Role:
			return bad(field+".Role", within(t.Role), "must be that of the first member")
		}
		seen[t.Task.ID] = true
		if err := t.validate(field, cfg, known); err != nil {
			return err
		}
	}
	return nil
}

// Validate checks a task; the error names the field, the value and what is allowed.
func (t *Task) Validate(cfg Config) error { return t.validate("Task", cfg.withDefaults(), nil) }

// validate checks a task. Constraints that are known are valid.
func (t *Task) validate(path string, cfg Config, known map[Constraint]*rule) error {
	if err := validateRun(path+".Task", &t.Task); err != nil {
		return err
	}
	switch {
	case t.Role != "" && !cfg.hasRole(t.Role):
		return bad(path+".Role", within(t.Role), fmt.Sprintf("must be one of %q", cfg.Roles))
	case t.Policy > Pack:
		return bad(path+".Policy", uint8(t.Policy), "must be Spread, BestFit or Pack (1 to 3), or 0 for the configured one")
	case t.Ports < 0 || t.Ports > MaxPorts:
		return bad(path+".Ports", t.Ports, fmt.Sprintf("must be 0 to %d", MaxPorts))
	case len(t.Set) > offer.MaxID || strings.HasPrefix(t.Set, "\x00"):
		return bad(path+".Set", within(t.Set), fmt.Sprintf("must have at most %d bytes, of which the first is not zero", offer.MaxID))
	case len(t.Constraints) > MaxConstraints:
		return bad(path+".Constraints", fmt.Sprintf("of %d", len(t.Constraints)), fmt.Sprintf("must be at most %d", MaxConstraints))
	}
	for i := range t.Constraints {
		if known[t.Constraints[i]] != nil {
			continue
		}
		if err := t.Constraints[i].Validate(); err != nil {
			return offer.Refuse(offer.ReasonInvalidField, fmt.Sprintf("launcher: %s.Constraints[%d].%s", path, i, err))
		}
	}
	if t.Unreachable != nil {
		if err := t.Unreachable.validate(path + ".Unreachable"); err != nil {
			return err
		}
	}
	return validateOrder(path, t.Priority, t.Backoff, t.Retry)
}

func validateOrder(path string, priority int, backoff string, r *Retry) error {
	switch {
	case priority > MaxPriority || priority < -MaxPriority:
		return bad(path+".Priority", priority, fmt.Sprintf("must be %d to %d", -MaxPriority, MaxPriority))
	case len(backoff) > offer.MaxID || strings.HasPrefix(backoff, "\x00"):
		return bad(path+".Backoff", within(backoff), fmt.Sprintf("must have at most %d bytes, of which the first is not zero", offer.MaxID))
	case r != nil:
		return r.validate(path + ".Retry")
	}
	return nil
}

// validateRun checks what a session would refuse too: an accept that carries a bad task is refused as a whole, with what else is in it.
func validateRun(path string, t *offer.Task) error {
	if err := offer.ValidateID("id", string(t.ID)); err != nil || len(t.ID) > MaxTaskID {
		return bad(path+".ID", within(string(t.ID)), fmt.Sprintf("must have 1 to %d bytes without '/', '\\' and control characters", MaxTaskID))
	}
	kinds := 0
	for _, set := range [...]bool{t.Command != nil, t.Function != "", t.Executor != nil} {
		if set {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return bad(path+".Command", fmt.Sprintf("and the like: %d are set", kinds), "must be exactly one of Command, Function and Executor")
	case t.Command != nil && t.Command.Value == "" && t.Image == nil:
		return bad(path+".Command.Value", `""`, "must not be empty, but for an Image")
	case t.Resources.Empty():
		return bad(path+".Resources", `""`, "must not be empty")
	case t.ShareCgroups:
		return bad(path+".ShareCgroups", true, "must be false, there is nobody to share with")
	case t.MaxCompletion < 0:
		return bad(path+".MaxCompletion", t.MaxCompletion, "must not be negative")
	case t.Executor != nil && (t.Lease > 0 || t.Streams != nil):
		return bad(path+".Executor", within(string(t.Executor.ID)), "must not be set together with Lease or Streams")
	}
	checks := []struct {
		field string
		err   error
	}{{"Resources", t.Resources.Validate(resource.Limits{})}, {"Lease", offer.ValidateLease(t.Lease)}, {"Check", offer.ValidateChecks(t)},
		{"Streams", offer.ValidateStreams(t.Streams)}, {"Hostname", offer.ValidateHostname(t.Hostname)},
		{"Image", offer.ValidateContainer(t.Image, t.Network, t.Volumes)}}
	if t.Command != nil {
		checks = append(checks, struct {
			field string
			err   error
		}{"Command", offer.ValidateURIs(t.Command.URIs)})
	}
	if t.Executor != nil {
		checks = append(checks, struct {
			field string
			err   error
		}{"Executor.ID", offer.ValidateID("value", string(t.Executor.ID))})
	}
	for _, c := range checks {
		if c.err != nil {
			return offer.Refuse(offer.ReasonInvalidField, fmt.Sprintf("launcher: %s.%s: %v", path, c.field, c.err))
		}
	}
	return nil
}
