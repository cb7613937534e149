package sim

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A Stored seed is one that finds a planted bug: what it is run with, plant included, and the rule that it then breaks.
type Stored struct {
	Rule   string
	Config Config
}

// BankConfig is the world in which a seed looks for a planted bug: as small as those of the tests; every fourth one longer, for what takes its
// time, and of these every second one busy and without trouble of its own, for what nobody would tell from trouble.
func BankConfig(seed uint64) Config {
	c := SmallConfig(seed)
	c.Faults = AllFaults
	if seed%4 == 3 {
		c.Rounds, c.Trouble, c.FaultEvery = 2, 20*time.Minute, 15*time.Second
		c.Slaves, c.Frameworks, c.Tasks, c.Swarm, c.Some, c.Rich = 5, 3, 60, true, true, true
	}
	if seed%8 == 7 {
		c.Tasks, c.FaultEvery, c.Swarm, c.Faults = 300, time.Minute, false, FaultOperator|FaultUser|FaultDelay|FaultDuplicate|FaultFramework
		c.Patience = 2 * time.Hour // where most machines stay away, the others have that much to do
	}
	return c.withDefaults()
}

// Breaks reports whether a run has broken one of the rules that its plant is to break.
func (r *Report) Breaks() bool {
	return r.Violation != nil && slices.Contains(strings.Fields(r.Config.Plant.Rules), r.Violation.Rule)
}

// A bank is a text with one seed a line, its fields as in a scenario file with semicolons in between. A line that names no plant holds for
// those after it.

// WriteBank writes stored seeds, and the classes of faults once for all.
func WriteBank(w io.Writer, seeds []Stored) error {
	var b strings.Builder
	b.WriteString("# Seeds that find the planted bugs. Written by go run ./internal/sim/simulate -bank -rewrite\n")
	faults := Fault(0)
	for _, s := range seeds {
		if s.Config.Faults != faults {
			faults = s.Config.Faults
			fmt.Fprintf(&b, "faults %v\n", faults)
		}
		fmt.Fprintf(&b, "plant %s; rule %s", s.Config.Plant.Name, s.Rule)
		report := Report{Config: s.Config}
		for line := range strings.Lines(report.Scenario()) {
			if key, _, _ := strings.Cut(line, " "); key != "plant" && key != "faults" {
				b.WriteString("; " + strings.TrimSpace(line))
			}
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// ReadBank reads what WriteBank writes.
func ReadBank(in io.Reader) (seeds []Stored, err error) {
	base := Config{Faults: NoFaults, MaxSteps: 1 << 40}
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		s := Stored{Config: base}
		for field := range strings.SplitSeq(text, ";") {
			key, value, _ := strings.Cut(strings.TrimSpace(field), " ")
			switch key {
			case "":
			case "rule":
				s.Rule = value
			default:
				err = s.Config.set(key, value)
			}
			if err != nil {
				return nil, fmt.Errorf("bank: line %d: %w", n, err)
			}
		}
		switch {
		case s.Config.Plant == nil:
			base = s.Config
		case !slices.Contains(strings.Fields(s.Config.Plant.Rules), s.Rule):
			return nil, fmt.Errorf("bank: line %d: rule %q is not one that %s breaks (allowed: %s)", n, s.Rule, s.Config.Plant.Name, s.Config.Plant.Rules)
		default:
			seeds = append(seeds, s)
		}
	}
	return seeds, lines.Err()
}
