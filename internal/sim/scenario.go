package sim

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A scenario file is a Config as text, one "key value" a line, with comments behind '#'. A campaign prints one for each seed that fails; put
// into testdata/regress it is run by every test from then on.

// Scenario writes what reproduces the run, with the rule that it broke as a comment.
func (r *Report) Scenario() string {
	var b strings.Builder
	if r.Violation != nil {
		fmt.Fprintf(&b, "# %s\n", strings.ReplaceAll(r.Violation.Error(), "\n", " "))
	}
	c := &r.Config
	line := func(key string, value any) { fmt.Fprintf(&b, "%s %v\n", key, value) }
	line("seed", c.Seed)
	line("masters", c.Masters)
	line("slaves", c.Slaves)
	line("frameworks", c.Frameworks)
	line("tasks", c.Tasks)
	line("rounds", c.Rounds)
	line("trouble", c.Trouble)
	line("fault-every", c.FaultEvery)
	if c.Patience != 0 && c.Patience != defaultPatience {
		line("patience", c.Patience)
	}
	line("faults", c.Faults)
	line("wire", c.Wire)
	line("swarm", c.Swarm)
	line("some", c.Some)
	line("rich", c.Rich)
	if c.Plant != nil {
		line("plant", c.Plant.Name)
	}
	return b.String()
}

// ParseScenario reads a scenario file.
func ParseScenario(in io.Reader) (Config, error) {
	c := Config{Faults: NoFaults, MaxSteps: 1 << 40}
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		key, value, _ := strings.Cut(strings.TrimSpace(text), " ")
		if key == "" {
			continue
		}
		if err := c.set(key, value); err != nil {
			return c, fmt.Errorf("scenario: line %d: %w", n, err)
		}
	}
	return c, lines.Err()
}

func (c *Config) set(key, value string) (err error) {
	number := map[string]*int{"masters": &c.Masters, "slaves": &c.Slaves, "frameworks": &c.Frameworks, "tasks": &c.Tasks, "rounds": &c.Rounds}
	duration := map[string]*time.Duration{"trouble": &c.Trouble, "fault-every": &c.FaultEvery, "patience": &c.Patience}
	truth := map[string]*bool{"wire": &c.Wire, "swarm": &c.Swarm, "some": &c.Some, "rich": &c.Rich}
	switch {
	case key == "seed":
		c.Seed, err = strconv.ParseUint(value, 10, 64)
	case key == "faults":
		if c.Faults, err = ParseFaults(value); err == nil && c.Faults == 0 {
			c.Faults = NoFaults
		}
	case key == "plant":
		plant, ok := Plants[value]
		if !ok {
			return fmt.Errorf("plant %q is not known", value)
		}
		c.Plant = plant()
	case number[key] != nil:
		*number[key], err = strconv.Atoi(value)
	case duration[key] != nil:
		*duration[key], err = time.ParseDuration(value)
	case truth[key] != nil:
		*truth[key], err = strconv.ParseBool(value)
	default:
		return fmt.Errorf("%q is not a field of a scenario", key)
	}
	return err
}
