package allocator

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer/resource"
)

// TestScenarios plays the files in testdata. Each line of a "do" block is an event or a command; see line_test.go. After every line the
// allocator's books are checked. A refused event prints why, and must change nothing.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := newWorld(Config{Seed: 1})
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "config":
				cfg := config(t, d.CmdArgs)
				if err := cfg.Validate(); err != nil {
					require.PanicsWithValue(t, "allocator: "+err.Error(), func() { New(cfg) })
					return "refused: " + err.Error() + "\n"
				}
				w = newWorld(cfg)
			case "do":
				var out strings.Builder
				for line := range strings.Lines(d.Input) {
					out.WriteString(w.do(t, strings.Fields(line)))
					require.NoError(t, w.a.Check(), "after %s at %s", line, d.Pos)
				}
				return out.String()
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			return ""
		})
	})
}

// config reads the options of a "config" line.
func config(t testing.TB, args []datadriven.CmdArg) Config {
	cfg := Config{Seed: 1}
	for _, arg := range args {
		value := strings.Join(arg.Vals, ",")
		switch arg.Key {
		case "region":
			cfg.Region = value
		case "max-work":
			n, err := strconv.Atoi(value)
			require.NoError(t, err)
			cfg.MaxWork = n
		case "seed":
			n, err := strconv.ParseUint(value, 10, 64)
			require.NoError(t, err)
			cfg.Seed = n
		case "policy":
			cfg.Policy = map[string]Policy{"dominant-shares": DominantShares, "random": Random, "bad": 7}[value]
		case "scarce":
			cfg.Scarce = strings.Split(value, "+")
		case "max-outstanding":
			n, err := strconv.Atoi(value)
			require.NoError(t, err)
			cfg.MaxOutstanding = n
		case "offer-share":
			n, err := strconv.Atoi(value)
			require.NoError(t, err)
			cfg.OfferShare = resource.Scalar(n)
		case "gpus-to-all":
			cfg.GPUsToAll = true
		case "exclude":
			cfg.ExcludeFromFairness = strings.Split(value, "+")
		case "min":
			cfg.MinAllocatable = sets(t, value)
		default:
			require.Fail(t, "unknown option", arg.Key)
		}
	}
	return cfg
}

// world is an allocator, a clock, and what is on offer.
type world struct {
	a   *Hierarchical
	now time.Time
}

func newWorld(cfg Config) *world { return &world{a: New(cfg), now: time.Unix(1_000_000, 0)} }

// apply prints what a refused event is refused for.
func (w *world) apply(ev Event) string {
	before, verdict := w.a.Describe(), w.a.Validate(ev)
	if err := w.a.Apply(w.now, ev); err != nil {
		if w.a.Describe() != before || verdict == nil || verdict.Error() != err.Error() {
			return fmt.Sprintf("refused for %v, and changed something; validated with %v\n", err, verdict)
		}
		return "refused: " + err.Error() + "\n"
	}
	return ""
}

func (w *world) run() string {
	out := w.a.Run(w.now, nil)
	if len(out) == 0 {
		return "nothing\n"
	}
	var b strings.Builder
	for _, al := range out {
		fmt.Fprintln(&b, show(al))
	}
	return b.String()
}

func (w *world) inverse() string {
	out := w.a.Inverse(w.now, nil)
	if len(out) == 0 {
		return "nothing\n"
	}
	var b strings.Builder
	for _, inv := range out {
		fmt.Fprintf(&b, "%s is asked for %s, away in %s for %s\n", inv.Framework, inv.Slave, inv.Unavailability.Start.Sub(w.now), inv.Unavailability.Duration)
	}
	return b.String()
}

func show(al Allotment) string {
	return fmt.Sprintf("%s in %s on %s: %s", al.Framework, al.Role, al.Slave, al.Resources)
}
