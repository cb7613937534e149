package allocator

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// TestScenarios plays the files in testdata. Each line of a "do" block is an event or a command; see world.do. After every line the
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

// do plays one line: words, then options name=value.
func (w *world) do(t testing.TB, words []string) string {
	opt := map[string]string{}
	var arg []string
	for _, word := range words[1:] {
		if k, v, ok := strings.Cut(word, "="); ok && !strings.Contains(k, ":") {
			opt[k] = v
		} else {
			arg = append(arg, word)
		}
	}
	get := func(i int) string {
		require.Less(t, i, len(arg), "missing word in %v", words)
		return arg[i]
	}
	role := opt["role"]
	if role == "" {
		role = "*"
	}
	list := func(name string) []string {
		if opt[name] == "" {
			return nil
		}
		return strings.Split(opt[name], ",")
	}
	allotment := func() Allotment { // framework slave resources [role=]
		return Allotment{Framework: offer.FrameworkID(get(0)), Slave: offer.SlaveID(get(1)), Role: role, Resources: entries(t, get(2))}
	}
	slave := func() offer.Slave { // id resources [host=] [region=] [zone=] [attributes=]
		attributes, err := offer.ParseAttributes(opt["attributes"])
		require.NoError(t, err)
		return offer.Slave{ID: offer.SlaveID(get(0)), Hostname: opt["host"], Resources: entries(t, get(1)), Attributes: attributes,
			Domain: offer.Domain{Region: opt["region"], Zone: opt["zone"]}}
	}
	duration := func(name string) time.Duration {
		if opt[name] == "" {
			return 0
		}
		d, err := time.ParseDuration(opt[name])
		require.NoError(t, err)
		return d
	}
	switch words[0] {
	case "slave":
		ev := SlaveAdded{Slave: slave(), Inactive: opt["inactive"] != ""}
		for _, used := range list("used") { // framework/resources, in role=
			id, text, _ := strings.Cut(used, "/")
			ev.Used = append(ev.Used, Allotment{Framework: offer.FrameworkID(id), Role: role, Resources: entries(t, text)})
		}
		return w.apply(ev)
	case "update-slave":
		return w.apply(SlaveUpdated{slave()})
	case "activate-slave", "deactivate-slave":
		return w.apply(SlaveActive{offer.SlaveID(get(0)), words[0] == "activate-slave"})
	case "remove-slave":
		return w.apply(SlaveRemoved{offer.SlaveID(get(0))})
	case "framework":
		return w.apply(FrameworkAdded{Framework: scheduler(t, get(0), opt), Suppressed: list("suppressed"), Inactive: opt["inactive"] != ""})
	case "update-framework":
		return w.apply(FrameworkUpdated{Framework: scheduler(t, get(0), opt), Suppressed: list("suppressed")})
	case "activate-framework", "deactivate-framework":
		return w.apply(FrameworkActive{offer.FrameworkID(get(0)), words[0] == "activate-framework"})
	case "remove-framework":
		return w.apply(FrameworkRemoved{offer.FrameworkID(get(0))})
	case "used":
		return w.apply(Used{allotment()})
	case "recover":
		return w.apply(Recovered{allotment(), duration("refuse")})
	case "answered": // framework slave [role=]
		return w.apply(Answered{offer.FrameworkID(get(0)), role, offer.SlaveID(get(1))})
	case "whitelist": // hosts; all
		if get(0) == "all" {
			return w.apply(Whitelist{All: true, Hosts: list("hosts")})
		}
		return w.apply(Whitelist{Hosts: strings.Split(get(0), ",")})
	case "unavailable": // slave [in=] [for=]
		return w.apply(SlaveUnavailable{offer.SlaveID(get(0)), &offer.Unavailability{Start: w.now.Add(duration("in")), Duration: duration("for")}})
	case "available":
		return w.apply(SlaveUnavailable{offer.SlaveID(get(0)), nil})
	case "inverse":
		return w.inverse()
	case "inverse-accepted", "inverse-declined": // framework slave [refuse=]
		return w.apply(InverseAnswered{offer.FrameworkID(get(0)), offer.SlaveID(get(1)), words[0] == "inverse-accepted", duration("refuse")})
	case "convert": // framework slave from to; "-" for the operator
		id := offer.FrameworkID(strings.TrimPrefix(get(0), "-"))
		return w.apply(Converted{Framework: id, Role: role, Slave: offer.SlaveID(get(1)), From: entries(t, get(2)), To: entries(t, get(3))})
	case "suppress":
		return w.apply(Suppressed{offer.FrameworkID(get(0)), list("roles")})
	case "revive":
		return w.apply(Revived{offer.FrameworkID(get(0)), list("roles")})
	case "request": // framework [sets] [role=]
		var needs []resource.Quantities
		if len(arg) > 1 {
			needs = sets(t, get(1))
		}
		return w.apply(Requested{offer.FrameworkID(get(0)), role, needs})
	case "role":
		ev := RoleSet{Role: get(0), Guarantee: quantities(t, opt["guarantee"]), Limit: quantities(t, opt["limit"]), Force: opt["checked"] == ""}
		if text := opt["weight"]; text != "" {
			var err error
			if ev.Weight, err = resource.ParseScalar(strings.TrimPrefix(text, "-")); text[0] == '-' {
				ev.Weight = -ev.Weight
			}
			require.NoError(t, err)
		}
		return w.apply(ev)
	case "advance":
		by, err := time.ParseDuration(get(0))
		require.NoError(t, err)
		w.now = w.now.Add(by)
	case "run":
		return w.run()
	case "deadline":
		switch at := w.a.Deadline(); {
		case at.IsZero():
			return "never\n"
		case !at.After(w.now):
			return "now\n"
		default:
			return fmt.Sprintf("in %s\n", at.Sub(w.now))
		}
	case "held":
		var out strings.Builder
		for _, al := range w.a.Held(offer.FrameworkID(get(0))) {
			fmt.Fprintln(&out, show(al))
		}
		return out.String()
	case "describe":
		return w.a.Describe()
	case "shares": // the tables of roles and frameworks
		text, _, _ := strings.Cut(w.a.Describe(), "slave ")
		return text
	default:
		require.Fail(t, "unknown word", "%v", words)
	}
	return ""
}

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

func scheduler(t testing.TB, id string, opt map[string]string) offer.Framework {
	f := offer.Framework{ID: offer.FrameworkID(id)}
	if opt["roles"] != "" {
		f.Roles = strings.Split(opt["roles"], ",")
	}
	for _, name := range strings.Split(opt["can"], ",") {
		f.Capabilities |= map[string]offer.Capabilities{"": 0, "revocable": offer.RevocableResources, "gpus": offer.GPUResources,
			"shared": offer.SharedResources, "refined": offer.ReservationRefinement, "regions": offer.RegionAware}[name]
	}
	if opt["min"] != "" {
		role, text, _ := strings.Cut(opt["min"], "@")
		f.MinAllocatable = map[string][]resource.Quantities{role: sets(t, text)}
	}
	if text := opt["where"]; text != "" {
		role, groups, ok := strings.Cut(text, "@")
		if !ok {
			role, groups = "*", text
		}
		f.Constraints = map[string][]offer.ConstraintGroup{role: where(groups)}
	}
	return f
}

// where reads groups separated by "|", of constraints separated by "&": rack=r1, rack!=r1, rack~r.*, rack!~r.*, rack? (exists), rack!?. The
// names host, region and zone stand for those.
func where(text string) (groups []offer.ConstraintGroup) {
	for part := range strings.SplitSeq(text, "|") {
		var g offer.ConstraintGroup
		for one := range strings.SplitSeq(part, "&") {
			i := strings.IndexAny(one, "!=~?")
			op := one[i : i+1]
			if op == "!" {
				op = one[i : i+2]
			}
			c := offer.Constraint{Attribute: one[:i], Value: one[i+len(op):], Op: map[string]offer.ConstraintOp{"=": offer.Equals, "!=": offer.NotEquals,
				"~": offer.Matches, "!~": offer.NotMatches, "?": offer.Exists, "!?": offer.NotExists}[op]}
			if of := map[string]offer.ConstraintSubject{"host": offer.OfHostname, "region": offer.OfRegion, "zone": offer.OfZone}[c.Attribute]; of > 0 {
				c.Of, c.Attribute = of, ""
			}
			g = append(g, c)
		}
		groups = append(groups, g)
	}
	return groups
}

// sets reads sets of amounts, separated by "|"; "any" is one empty set.
func sets(t testing.TB, text string) []resource.Quantities {
	var out []resource.Quantities
	for part := range strings.SplitSeq(text, "|") {
		out = append(out, quantities(t, strings.TrimPrefix(part, "any")))
	}
	return out
}

func quantities(t testing.TB, text string) resource.Quantities {
	q, err := resource.ParseQuantities(text)
	require.NoError(t, err)
	return q
}

// entries reads resources in the text form, each entry with suffixes: @revocable, @shared, @volume:id, @dynamic (the reservation), @under:role
// (a static reservation beneath that of the entry, which becomes dynamic).
func entries(t testing.TB, text string) resource.Resources {
	var out []resource.Resource
	for part := range strings.SplitSeq(text, ";") {
		words := strings.Split(part, "@")
		for _, e := range resource.Must(words[0]) {
			for _, word := range words[1:] {
				name, value, _ := strings.Cut(word, ":")
				switch name {
				case "revocable":
					e.Revocable = true
				case "shared":
					e.Shared = true
				case "volume":
					e.Volume = &resource.Volume{ID: value, ContainerPath: "data"}
				case "dynamic":
					e.Reservations[len(e.Reservations)-1].Type = resource.Dynamic
				case "under":
					e.Reservations[len(e.Reservations)-1].Type = resource.Dynamic
					e.Reservations = append([]resource.Reservation{{Type: resource.Static, Role: value}}, e.Reservations...)
				default:
					require.Fail(t, "unknown suffix", word)
				}
			}
			out = append(out, e)
		}
	}
	r, err := resource.New(out...)
	require.NoError(t, err, text)
	return r
}
