package allocator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// do plays one line: an event, which prints why if it is refused, or a command.
func (w *world) do(t testing.TB, words []string) string {
	l := newLine(t, words)
	for _, event := range []func(*line, time.Time) Event{slaveEvent, frameworkEvent, allotmentEvent, wishEvent, operatorEvent} {
		if ev := event(l, w.now); ev != nil {
			return w.apply(ev)
		}
	}
	return w.command(l)
}

// command plays what is no event.
func (w *world) command(l *line) string {
	switch l.verb {
	case "advance":
		by, err := time.ParseDuration(l.word(0))
		require.NoError(l.t, err)
		w.now = w.now.Add(by)
	case "run":
		return w.run()
	case "inverse":
		return w.inverse()
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
		for _, al := range w.a.Held(l.framework(0)) {
			fmt.Fprintln(&out, show(al))
		}
		return out.String()
	case "describe":
		return w.a.Describe()
	case "explain": // framework [slave] [role=]
		return w.explain(l)
	case "shares": // the tables of roles and frameworks
		text, _, _ := strings.Cut(w.a.Describe(), "slave ")
		return text
	default:
		require.Fail(l.t, "unknown word", l.verb)
	}
	return ""
}

// line is words, then options name=value.
type line struct {
	t    testing.TB
	verb string
	args []string
	opt  map[string]string
	role string // "*" unless there is an option
}

func newLine(t testing.TB, words []string) *line {
	l := &line{t: t, verb: words[0], opt: map[string]string{}}
	for _, word := range words[1:] {
		if k, v, ok := strings.Cut(word, "="); ok && !strings.Contains(k, ":") {
			l.opt[k] = v
		} else {
			l.args = append(l.args, word)
		}
	}
	if l.role = l.opt["role"]; l.role == "" {
		l.role = "*"
	}
	return l
}

func (l *line) word(i int) string {
	require.Less(l.t, i, len(l.args), "missing word after %s %v", l.verb, l.args)
	return l.args[i]
}

func (l *line) framework(i int) offer.FrameworkID       { return offer.FrameworkID(l.word(i)) }
func (l *line) slave(i int) offer.SlaveID               { return offer.SlaveID(l.word(i)) }
func (l *line) resources(i int) resource.Resources      { return entries(l.t, l.word(i)) }
func (l *line) quantities(n string) resource.Quantities { return quantities(l.t, l.opt[n]) }

func (l *line) list(name string) []string {
	if l.opt[name] == "" {
		return nil
	}
	return strings.Split(l.opt[name], ",")
}

func (l *line) duration(name string) time.Duration {
	if l.opt[name] == "" {
		return 0
	}
	d, err := time.ParseDuration(l.opt[name])
	require.NoError(l.t, err)
	return d
}

// allotment reads: framework slave resources [role=].
func (l *line) allotment() Allotment {
	return Allotment{Framework: l.framework(0), Slave: l.slave(1), Role: l.role, Resources: l.resources(2)}
}

// description reads a slave: id resources [host=] [region=] [zone=] [attributes=].
func (l *line) description() offer.Slave {
	attributes, err := offer.ParseAttributes(l.opt["attributes"])
	require.NoError(l.t, err)
	return offer.Slave{ID: l.slave(0), Hostname: l.opt["host"], Resources: l.resources(1), Attributes: attributes,
		Domain: offer.Domain{Region: l.opt["region"], Zone: l.opt["zone"]}}
}

func slaveEvent(l *line, now time.Time) Event {
	switch l.verb {
	case "slave":
		ev := SlaveAdded{Slave: l.description(), Inactive: l.opt["inactive"] != ""}
		for _, used := range l.list("used") { // framework/resources, in role=
			id, text, _ := strings.Cut(used, "/")
			ev.Used = append(ev.Used, Allotment{Framework: offer.FrameworkID(id), Role: l.role, Resources: entries(l.t, text)})
		}
		return ev
	case "update-slave":
		return SlaveUpdated{l.description()}
	case "activate-slave", "deactivate-slave":
		return SlaveActive{l.slave(0), l.verb == "activate-slave"}
	case "remove-slave":
		return SlaveRemoved{l.slave(0)}
	case "unavailable": // slave [in=] [for=]
		return SlaveUnavailable{l.slave(0), &offer.Unavailability{Start: now.Add(l.duration("in")), Duration: l.duration("for")}}
	case "available":
		return SlaveUnavailable{l.slave(0), nil}
	}
	return nil
}

func frameworkEvent(l *line, _ time.Time) Event {
	switch l.verb {
	case "framework":
		return FrameworkAdded{Framework: scheduler(l.t, l.word(0), l.opt), Suppressed: l.list("suppressed"), Inactive: l.opt["inactive"] != ""}
	case "update-framework":
		return FrameworkUpdated{Framework: scheduler(l.t, l.word(0), l.opt), Suppressed: l.list("suppressed")}
	case "activate-framework", "deactivate-framework":
		return FrameworkActive{l.framework(0), l.verb == "activate-framework"}
	case "remove-framework":
		return FrameworkRemoved{l.framework(0)}
	}
	return nil
}

func allotmentEvent(l *line, _ time.Time) Event {
	switch l.verb {
	case "used":
		return Used{l.allotment()}
	case "recover":
		return Recovered{l.allotment(), l.duration("refuse")}
	case "answered": // framework slave [role=]
		return Answered{l.framework(0), l.role, l.slave(1)}
	case "convert": // framework slave from to; "-" for the operator
		id := offer.FrameworkID(strings.TrimPrefix(l.word(0), "-"))
		return Converted{Framework: id, Role: l.role, Slave: l.slave(1), From: l.resources(2), To: l.resources(3)}
	case "inverse-accepted", "inverse-declined": // framework slave [refuse=]
		return InverseAnswered{l.framework(0), l.slave(1), l.verb == "inverse-accepted", l.duration("refuse")}
	}
	return nil
}

func wishEvent(l *line, _ time.Time) Event {
	switch l.verb {
	case "suppress":
		return Suppressed{l.framework(0), l.list("roles")}
	case "revive":
		return Revived{l.framework(0), l.list("roles")}
	case "request": // framework [sets] [role=]
		var needs []resource.Quantities
		if len(l.args) > 1 {
			needs = sets(l.t, l.word(1))
		}
		return Requested{l.framework(0), l.role, needs}
	}
	return nil
}

func operatorEvent(l *line, _ time.Time) Event {
	switch l.verb {
	case "whitelist": // hosts; all
		if l.word(0) == "all" {
			return Whitelist{All: true, Hosts: l.list("hosts")}
		}
		return Whitelist{Hosts: strings.Split(l.word(0), ",")}
	case "role": // name [weight=] [guarantee=] [limit=] [checked=]
		ev := RoleSet{Role: l.word(0), Guarantee: l.quantities("guarantee"), Limit: l.quantities("limit"), Force: l.opt["checked"] == ""}
		if text := l.opt["weight"]; text != "" {
			var err error
			if ev.Weight, err = resource.ParseScalar(strings.TrimPrefix(text, "-")); text[0] == '-' {
				ev.Weight = -ev.Weight
			}
			require.NoError(l.t, err)
		}
		return ev
	}
	return nil
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
