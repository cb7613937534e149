package mastercore

import (
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// TestScenarios plays the files in testdata, each named by the rule that it shows. A line of a "do" block is one event or one command (see
// world.line); below it stands what the master did, with effects in order. Each file is played in two worlds at once, which must do the same;
// Check holds after every Step.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		cfg := Config{}
		first, second := newWorld(t, cfg), newWorld(t, cfg)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "config":
				for _, a := range d.CmdArgs {
					configure(t, &cfg, a.Key, a.Vals[0])
				}
				first, second = newWorld(t, cfg), newWorld(t, cfg)
				return ""
			case "do":
				var out strings.Builder
				for line := range strings.Lines(d.Input) {
					did := first.line(line)
					require.Equal(t, did, second.line(line), "the second run differs at %s", d.Pos)
					out.WriteString(did)
				}
				return out.String()
			}
			d.Fatalf(t, "unknown command %s", d.Cmd)
			return ""
		})
	})
}

func configure(t *testing.T, cfg *Config, key, value string) {
	w := world{t: t}
	number := func() int {
		n := 0
		for _, c := range value {
			n = n*10 + int(c-'0')
		}
		return n
	}
	switch key {
	case "offer-timeout":
		cfg.OfferTimeout = w.duration(value)
	case "reregister-timeout":
		cfg.ReregisterTimeout = w.duration(value)
	case "max-offers":
		cfg.MaxOffers = number()
	case "max-tasks":
		cfg.MaxTasks = number()
	case "max-part-bytes":
		cfg.MaxPartBytes = number()
	case "max-accept-tasks":
		cfg.MaxAcceptTasks = number()
	case "max-completed":
		cfg.MaxCompletedTasks = number()
	case "max-reconcile":
		cfg.MaxReconcile = number()
	case "max-questions":
		cfg.MaxQuestions = number()
	case "max-all-questions":
		cfg.MaxAllQuestions = number()
	case "max-retries":
		cfg.MaxRetries = number()
	case "max-completed-frameworks":
		cfg.MaxCompletedFrameworks = number()
	case "brake-hold":
		cfg.BrakeHold = w.duration(value)
	case "prune-age":
		cfg.PruneAge = w.duration(value)
	default:
		require.Fail(t, "unknown setting "+key)
	}
}
