package sim

import "time"

// Shrink looks for a smaller run that breaks the same rule: shorter, with fewer nodes, fewer tasks and fewer classes of faults. It runs at most
// tries candidates. Each change gives another run altogether, so that a candidate is tried with a few seeds before it is given up.
func Shrink(r *Report, tries int) *Report {
	best := r
	fails := func(c Config) bool {
		for k := range uint64(3) {
			if tries == 0 {
				return false
			}
			tries--
			c.Seed = r.Config.Seed + k*1_000_003
			c.MaxSteps = 2*best.Steps + 100_000
			if again := Run(c); again.Violation != nil && again.Violation.Rule == r.Violation.Rule {
				again.Config.MaxSteps = 1 << 40
				best = again
				return true
			}
		}
		return false
	}
	for again := true; again && tries > 0; {
		again = false
		for _, smaller := range smallerConfigs {
			for c := best.Config; tries > 0; c = best.Config {
				if !smaller(&c) || !fails(c) {
					break
				}
				again = true
			}
		}
		if again = dropFaults(&best, fails) || again; best.Steps == 0 {
			break
		}
	}
	exact := best.Config
	exact.CheckEvery = 1
	if last := Run(exact); last.Violation != nil && last.Violation.Rule == best.Violation.Rule {
		last.Config.CheckEvery = 0
		return last // it names the very event
	}
	return best
}

// smallerConfigs each make a run smaller in one way, or report that they cannot.
var smallerConfigs = []func(c *Config) bool{
	func(c *Config) bool { c.Rounds /= 2; return c.Rounds > 0 },
	func(c *Config) bool { c.Slaves /= 2; return c.Slaves > 0 },
	func(c *Config) bool { c.Frameworks /= 2; return c.Frameworks > 0 },
	func(c *Config) bool {
		c.Trouble = (c.Trouble / 2).Round(time.Second)
		return c.Trouble >= 10*time.Second
	},
	func(c *Config) bool { c.Tasks /= 2; return c.Tasks > 0 },
	func(c *Config) bool { c.Masters -= 2; return c.Masters > 0 },
	func(c *Config) bool { was := c.Rich; c.Rich = false; return was },
	func(c *Config) bool { was := c.Some; c.Some = false; return was },
	func(c *Config) bool { was := c.Wire; c.Wire = false; return was },
	func(c *Config) bool { was := c.Swarm; c.Swarm = false; return was },
}

// dropFaults tries to do without each class, half of them at a time first.
func dropFaults(best **Report, fails func(Config) bool) (dropped bool) {
	for width := len(faultNames) / 2; width > 0; width /= 2 {
		for at := 0; at < len(faultNames); at += width {
			c := (*best).Config
			mask := Fault(1)<<width - 1
			left := c.Faults &^ (mask << at) & AllFaults
			if left == c.Faults&AllFaults {
				continue
			}
			if c.Faults = left; left == 0 {
				c.Faults = NoFaults
			}
			dropped = fails(c) || dropped
		}
	}
	return dropped
}
