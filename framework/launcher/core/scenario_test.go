package core

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

// A world plays the master to a core, line by line.
type world struct {
	t     *testing.T
	c     *Core
	now   time.Time
	start time.Time
	cfg   Config
	uuid  byte
}

func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		w := &world{t: t, now: start, start: start}
		datadriven.RunTest(t, path, w.run)
	})
}

func (w *world) run(t *testing.T, d *datadriven.TestData) string {
	w.t = t
	var out strings.Builder
	if d.Cmd == "core" {
		w.cfg = Config{Gather: -1}
		for _, a := range d.CmdArgs {
			w.configure(a.Key, strings.Join(a.Vals, ","))
		}
		c, err := New(w.cfg)
		require.NoError(t, err)
		w.c = c
		w.step(&out, Subscribed{})
		return out.String()
	}
	switch d.Cmd {
	case "explain":
		for _, x := range w.c.Waiting(100) {
			group := ""
			if x.Group != "" {
				group = " of " + x.Group
			}
			fmt.Fprintf(&out, "%s%s %s\n", x.Task, group, x.Why)
		}
		return out.String()
	case "describe":
		return w.c.Describe()
	}
	lines := strings.Split(d.Input, "\n")
	if d.Input == "" {
		lines = []string{""}
	}
	var offers []offer.Offer
	for _, line := range lines {
		f := strings.Fields(line)
		switch d.Cmd {
		case "submit":
			w.step(&out, Submitted{Task: w.task(f)})
		case "offers":
			offers = append(offers, w.offer(f))
		default:
			w.event(&out, d, f)
		}
	}
	if d.Cmd == "offers" {
		w.step(&out, Offered{Offers: offers})
	}
	require.NoError(t, w.c.Check())
	return out.String()
}

func (w *world) configure(key, value string) {
	d := func() time.Duration {
		x, err := time.ParseDuration(value)
		require.NoError(w.t, err)
		return x
	}
	switch key {
	case "policy":
		w.cfg.Policy = map[string]Policy{"spread": Spread, "bestfit": BestFit, "pack": Pack}[value]
	case "hold":
		w.cfg.Hold = d()
	case "gather":
		w.cfg.Gather = d()
	case "replace":
		w.cfg.Unreachable.Replace = d()
	case "failures":
		w.cfg.Retry.Failures = w.number(value)
	case "losses":
		w.cfg.Retry.Losses = w.number(value)
	case "finished":
		w.cfg.Retry.Finished = true
	case "factor":
		w.cfg.Retry.Factor = float64(w.number(value))
	case "strangers":
		w.cfg.KillStrangers = true
	case "roles":
		w.cfg.Roles = strings.Split(value, ",")
	case "max-tasks":
		w.cfg.MaxTasks = w.number(value)
	default:
		w.t.Fatalf("core %s is not known", key)
	}
}

func (w *world) number(s string) int {
	n, err := strconv.Atoi(s)
	require.NoError(w.t, err)
	return n
}

// task reads: ID RESOURCES [set=S] [priority=N] [ports=N] [policy=P] [backoff=K] [role=R] [field:OP:value ...]
func (w *world) task(f []string) Task {
	t := Task{Task: offer.Task{ID: offer.TaskID(f[0]), Resources: resource.Must(f[1]), Command: &offer.Command{Value: "true", Shell: true}}}
	for _, a := range f[2:] {
		key, value, is := strings.Cut(a, "=")
		switch {
		case !is || strings.Contains(key, ":"):
			parts := append(strings.SplitN(a, ":", 3), "")
			op, err := ParseOperator(parts[1])
			require.NoError(w.t, err)
			t.Constraints = append(t.Constraints, Constraint{Field: parts[0], Op: op, Value: parts[2]})
		case key == "set":
			t.Set = value
		case key == "priority":
			t.Priority = w.number(value)
		case key == "ports":
			t.Ports = w.number(value)
		case key == "policy":
			t.Policy = map[string]Policy{"spread": Spread, "bestfit": BestFit, "pack": Pack}[value]
		case key == "backoff":
			t.Backoff = value
		case key == "role":
			t.Role = value
		case key == "never":
			t.Retry = &Retry{Losses: Never}
		default:
			w.t.Fatalf("task %s is not known", a)
		}
	}
	return t
}

// offer reads: ID SLAVE RESOURCES [role=R] [ATTRIBUTES]
func (w *world) offer(f []string) offer.Offer {
	o := offer.Offer{ID: offer.OfferID(f[0]), SlaveID: offer.SlaveID(f[1]), Hostname: "host-" + f[1], Role: "*", Resources: resource.Must(f[2])}
	for _, a := range f[3:] {
		if role, is := strings.CutPrefix(a, "role="); is {
			o.Role = role
			continue
		}
		list, err := offer.ParseAttributes(a)
		require.NoError(w.t, err)
		o.Attributes = list
	}
	return o
}

func (w *world) event(out *strings.Builder, d *datadriven.TestData, f []string) {
	arg := func(key string) string {
		var v string
		if d.HasArg(key) {
			d.ScanArgs(w.t, key, &v)
		}
		return v
	}
	switch d.Cmd {
	case "group":
		g := Group{ID: arg("id")}
		if n := arg("priority"); n != "" {
			g.Priority = w.number(n)
		}
		if d.HasArg("again") {
			g.Retry = &Retry{Failures: Forever}
		}
		for _, line := range strings.Split(d.Input, "\n") {
			g.Tasks = append(g.Tasks, w.task(strings.Fields(line)))
		}
		if f[0] == strings.Fields(d.Input)[0] {
			w.step(out, SubmittedGroup{Group: g})
		}
	case "adopt":
		w.step(out, Adopted{Task: w.task(f[1:]), At: Placed{Task: offer.TaskID(arg("as")), Attempt: w.number(arg("attempt")), Slave: offer.SlaveID(f[0]),
			Hostname: "host-" + f[0]}, State: offer.Running})
	case "status":
		var st offer.State
		require.NoError(w.t, st.UnmarshalText([]byte("TASK_"+f[1])))
		w.uuid++
		status := offer.Status{TaskID: offer.TaskID(f[0]), State: st, UUID: offer.UUID{w.uuid}, SlaveID: "s"}
		for _, a := range f[2:] {
			require.NoError(w.t, status.Reason.UnmarshalText([]byte("REASON_"+a)))
		}
		w.step(out, Updated{Status: status})
	case "kill":
		w.step(out, Killed{ID: f[0]})
	case "forgive":
		w.step(out, Forgiven{Backoff: f[0]})
	case "rescind":
		w.step(out, Rescinded{Offers: []offer.OfferID{offer.OfferID(f[0])}})
	case "disconnect":
		w.step(out, Disconnected{})
	case "subscribe":
		w.step(out, Subscribed{})
	case "pass":
		x, err := time.ParseDuration(f[0])
		require.NoError(w.t, err)
		w.pass(out, x)
	default:
		w.t.Fatalf("%s is not known", d.Cmd)
	}
}

// pass lets time pass, and the core tick when it wants to.
func (w *world) pass(out *strings.Builder, d time.Duration) {
	end := w.now.Add(d)
	for {
		at := w.c.Deadline()
		if at.IsZero() || at.After(end) {
			break
		}
		if at.After(w.now) {
			w.now = at
		}
		w.step(out, Tick{})
	}
	w.now = end
}

func (w *world) step(out *strings.Builder, ev Event) {
	effects := w.c.Step(w.now, ev, nil)
	for w.c.run != nil {
		effects = w.c.Step(w.now, Tick{}, effects)
	}
	for _, e := range effects {
		if _, tick := ev.(Tick); tick {
			fmt.Fprintf(out, "+%v ", w.now.Sub(w.start))
		}
		fmt.Fprintln(out, show(e))
	}
}

func show(e Effect) string {
	switch e := e.(type) {
	case Accept:
		var tasks []string
		for _, t := range e.Tasks {
			tasks = append(tasks, fmt.Sprintf("%s(%s)", t.ID, t.Resources))
		}
		return fmt.Sprintf("accept %v: %s, refuse the rest for %v", e.Offers, strings.Join(tasks, " "), e.Refuse)
	case Decline:
		return fmt.Sprintf("decline %v for %v", e.Offers, e.Refuse)
	case Suppress:
		return "suppress " + e.Role
	case Revive:
		return "revive " + e.Role
	case Kill:
		return fmt.Sprintf("kill %s on %s", e.Task, e.Slave)
	case Reconcile:
		return fmt.Sprintf("reconcile %v", e.Tasks)
	case Refused:
		return "refused: " + e.Refusal.Error()
	case Tell:
		o := e.Outcome
		s := fmt.Sprintf("tell %s %s", o.Task, o.Kind)
		if o.Placed.Task != "" {
			s += fmt.Sprintf(" %s on %s", o.Placed.Task, o.Placed.Slave)
		}
		if o.Kind != Launching {
			s += " " + o.Status.State.String()
		}
		if o.Why != "" {
			s += ": " + o.Why
		}
		if !o.Again.IsZero() {
			s += ", again at " + o.Again.Format("15:04:05.000")
		}
		return s
	}
	return fmt.Sprintf("%T", e)
}
