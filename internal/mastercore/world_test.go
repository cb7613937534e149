package mastercore

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// world is a core with a registry and a clock, driven by lines of text.
type world struct {
	t      testing.TB
	now    time.Time
	state  *registry.State
	core   *Core
	cfg    Config
	out    strings.Builder
	held   []Propose // with manual, proposals that wait for commit, fail or lose
	manual bool
	notes  bool
	idle   bool
	opened byte
	nonce  map[string]byte
	closed map[ConnID]int // how often each connection was closed: its next use is a new one
}

func newWorld(t testing.TB, cfg Config) *world {
	w := &world{t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), state: registry.New(), cfg: cfg, nonce: map[string]byte{}, closed: map[ConnID]int{}}
	w.lead()
	return w
}

// lead opens a new reign with a fresh core.
func (w *world) lead() {
	w.opened++
	r := w.state.Apply(registry.Entry{Commands: []registry.Command{{Key: registry.Key{0xff, w.opened},
		Op: &registry.Open{Cluster: "c", Master: "m" + strconv.Itoa(int(w.opened))}}}})
	require.Nil(w.t, r[0].Err)
	cfg := w.cfg
	cfg.MasterID = "m" + strconv.Itoa(int(w.opened))
	cfg.Allocator = allocator.New(allocator.Config{Seed: 10})
	cfg.Registry = w.state.View()
	w.core = New(w.now, cfg)
	w.held = nil
}

// line carries out one line and returns what the core did.
func (w *world) line(text string) string {
	w.out.Reset()
	f := strings.Fields(text)
	switch f[0] {
	case "wait":
		w.wait(w.duration(f[1]))
	case "idle": // as wait, but slaves answer pings, and neither pings nor heartbeats are shown
		w.idle = true
		w.wait(w.duration(f[1]))
		w.idle = false
	case "leader":
		w.lead()
	case "manual":
		w.manual = true
	case "automatic":
		w.manual = false
	case "notes":
		w.notes = true
	case "commit":
		for len(w.held) > 0 {
			p := w.held[0]
			w.held = w.held[1:]
			w.commit(p)
		}
	case "fail", "lose":
		held := w.held
		w.held = nil
		for _, p := range held {
			if f[0] == "lose" { // the outcome is unknown, and it was committed
				w.state.Apply(registry.Entry{Reign: w.core.cfg.Reign, Commands: p.Commands})
			}
			w.step(NotCommitted{Token: p.Token, Unknown: f[0] == "lose"})
		}
	case "depose":
		w.opened++
		w.state.Apply(registry.Entry{Commands: []registry.Command{{Key: registry.Key{0xff, w.opened}, Op: &registry.Open{Master: "other"}}}})
	case "describe":
		w.out.WriteString(w.core.Describe())
	case "explain": // framework [role=] [slave=]
		w.explain(f[1:])
	case "tasks":
		w.showTasks()
	case "registry":
		w.showRegistry()
	case "operate":
		call := w.operate(f[1:])
		w.step(Called{Token: 1, Call: *call})
	default:
		conn := w.conn(f[0])
		if f[1] == "closes" {
			w.step(Disconnected{conn})
			w.closed[conn%100]++
			break
		}
		principal := ""
		if strings.HasPrefix(f[1], "as=") {
			principal = f[1][3:]
			f = append(f[:1], f[2:]...)
		}
		w.step(Received{conn, principal, w.message(f[1], f[2:])})
	}
	w.settle()
	return w.out.String()
}

func (w *world) step(ev Event) {
	effects := w.core.Step(w.now, ev, nil)
	require.NoError(w.t, w.core.Check(), "after %+v", ev)
	var proposals []Propose
	var pongs []ConnID
	for _, e := range effects {
		switch e := e.(type) {
		case Send:
			if w.idle {
				switch m := e.Message.(type) {
				case *message.Heartbeat:
					continue
				case *message.Ping:
					if m.Connected {
						pongs = append(pongs, e.Conn)
						continue
					}
				}
			}
			fmt.Fprintf(&w.out, "-> c%d %s\n", e.Conn%100, show(e.Message))
		case Close:
			fmt.Fprintf(&w.out, "close c%d\n", e.Conn%100)
		case Propose:
			if w.manual {
				fmt.Fprintf(&w.out, "propose %s\n", showOps(e.Commands))
				w.held = append(w.held, e)
			} else {
				proposals = append(proposals, e)
			}
		case Answer:
			if e.Refusal == nil {
				w.out.WriteString("answer done\n")
			} else {
				fmt.Fprintf(&w.out, "answer %s: %s\n", reason(e.Refusal.Reason), e.Refusal.Message)
			}
		case Resign:
			fmt.Fprintf(&w.out, "resign %s\n", reason(e.Refusal.Reason))
		case Note:
			if w.notes {
				fmt.Fprintf(&w.out, "note %s\n", strings.TrimSpace(strings.Join([]string{e.Event, string(e.Slave), string(e.Framework), string(e.Task)}, " ")))
			}
		}
	}
	for _, p := range proposals {
		w.commit(p)
	}
	for _, conn := range pongs {
		w.step(Received{Conn: conn, Message: &message.Pong{}})
	}
}

func (w *world) commit(p Propose) {
	fmt.Fprintf(&w.out, "commit %s\n", showOps(p.Commands))
	w.step(Committed{p.Token, w.state.Apply(registry.Entry{Reign: w.core.cfg.Reign, Commands: p.Commands})})
}

// settle steps what is due now, as a shell does when its inbox is empty.
func (w *world) settle() {
	for range 100 {
		at := w.core.Deadline()
		if at.IsZero() || at.After(w.now) {
			return
		}
		w.step(Tick{})
	}
	require.Fail(w.t, "the core wants ticks without end")
}

// wait lets time pass, with a Tick at each deadline.
func (w *world) wait(d time.Duration) {
	end := w.now.Add(d)
	for range 100000 {
		at := w.core.Deadline()
		if at.IsZero() || at.After(end) {
			break
		}
		if at.After(w.now) {
			w.now = at
			fmt.Fprintf(&w.out, "at %s\n", w.now.Format("15:04:05.000"))
		}
		w.step(Tick{})
	}
	w.now = end
	// Times at which nothing happened are not shown.
	lines := strings.SplitAfter(w.out.String(), "\n")
	w.out.Reset()
	for i, l := range lines {
		if strings.HasPrefix(l, "at ") && (i+1 == len(lines) || lines[i+1] == "" || strings.HasPrefix(lines[i+1], "at ")) {
			continue
		}
		w.out.WriteString(l)
	}
}

func (w *world) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	require.NoError(w.t, err)
	return d
}

func (w *world) conn(s string) ConnID {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "c"), 10, 64)
	require.NoError(w.t, err, "connection %q", s)
	return ConnID(n) + 100*ConnID(w.closed[ConnID(n)])
}

// args splits words into those with a key and those without.
func args(f []string) (plain []string, named map[string]string, lists map[string][]string) {
	named, lists = map[string]string{}, map[string][]string{}
	for _, a := range f {
		if k, v, ok := strings.Cut(a, "="); ok {
			named[k] = v
			lists[k] = append(lists[k], v)
		} else {
			plain = append(plain, a)
		}
	}
	return plain, named, lists
}

func (w *world) message(verb string, f []string) message.Message {
	plain, named, lists := args(f)
	arg := func(i int) string {
		require.Greater(w.t, len(plain), i, "%s %v: too few words", verb, f)
		return plain[i]
	}
	offers := func(list []string) (out []offer.OfferID) {
		for _, s := range list {
			out = append(out, offer.OfferID(s))
		}
		return out
	}
	switch verb {
	case "register":
		return &message.SlaveRegister{Nonce: w.nonceOf("s" + arg(0)), Slave: w.slave("", plain, named)}
	case "reregister":
		return w.reregister(plain, named, lists)
	case "pong":
		return &message.Pong{}
	case "renew":
		n, err := strconv.ParseUint(arg(0), 10, 64)
		require.NoError(w.t, err)
		return &message.Renew{Seq: n}
	case "unregister":
		return &message.SlaveUnregister{}
	case "status": // framework task state uuid
		st := offer.Status{TaskID: offer.TaskID(arg(1)), State: state(w.t, arg(2)), UUID: uuid(w.t, arg(3)), Source: offer.SourceExecutor}
		latest := st.State
		if named["latest"] != "" {
			latest = state(w.t, named["latest"])
		}
		return &message.StatusUpdate{Framework: offer.FrameworkID(arg(0)), Status: &st, Latest: latest}
	case "outcome": // framework operation state uuid
		return &message.OperationUpdate{Framework: offer.FrameworkID(arg(0)),
			Status: offer.OperationStatus{ID: offer.OperationID(arg(1)), State: operationState(w.t, arg(2)), UUID: uuid(w.t, arg(3))}}
	case "exited":
		m := &message.ExecutorExited{Framework: offer.FrameworkID(arg(0)), Executor: offer.ExecutorID(arg(1)), Exit: offer.Exit{Signal: 9}}
		for _, id := range split(named["tasks"]) {
			m.Tasks = append(m.Tasks, offer.TaskID(id))
		}
		return m
	case "says":
		return &message.FromExecutor{Framework: offer.FrameworkID(arg(0)), Executor: offer.ExecutorID(arg(1)), Data: []byte(arg(2))}
	case "tell":
		return &message.ToExecutor{Slave: offer.SlaveID(arg(0)), Executor: offer.ExecutorID(arg(1)), Data: []byte(arg(2))}
	case "subscribe":
		return &message.Subscribe{Nonce: w.nonceOf("f" + arg(0)), Framework: w.framework(arg(0), named), Suppressed: split(named["suppressed"])}
	case "update":
		return &message.UpdateFramework{Framework: w.framework(arg(0), named), Suppressed: split(named["suppressed"])}
	case "accept":
		return w.accept(f, offers)
	case "decline":
		return &message.Decline{Offers: offers(plain), Filter: w.filter(named)}
	case "revive":
		return &message.Revive{Roles: plain}
	case "suppress":
		return &message.Suppress{Roles: plain}
	case "kill":
		m := &message.KillTask{Task: offer.TaskID(arg(0)), Slave: offer.SlaveID(named["slave"])}
		if named["grace"] != "" {
			m.Policy = &offer.KillPolicy{Grace: w.duration(named["grace"])}
		}
		return m
	case "ack": // slave task uuid
		return &message.Acknowledge{Slave: offer.SlaveID(arg(0)), Task: offer.TaskID(arg(1)), UUID: uuid(w.t, arg(2))}
	case "ackop":
		return &message.AcknowledgeOperation{Slave: offer.SlaveID(arg(0)), Operation: offer.OperationID(arg(1)), UUID: uuid(w.t, arg(2))}
	case "reconcile":
		m := &message.Reconcile{}
		for _, p := range plain {
			task, slave, _ := strings.Cut(p, "@")
			slave, lease, _ := strings.Cut(slave, "@")
			ref := message.TaskRef{Task: offer.TaskID(task), Slave: offer.SlaveID(slave)}
			if lease != "" {
				ref.Lease = w.duration(lease)
			}
			m.Tasks = append(m.Tasks, ref)
		}
		return m
	case "reconcileops":
		m := &message.ReconcileOperations{}
		for _, p := range plain {
			op, slave, _ := strings.Cut(p, "@")
			m.Operations = append(m.Operations, message.OperationRef{Operation: offer.OperationID(op), Slave: offer.SlaveID(slave)})
		}
		return m
	case "teardown":
		return &message.Teardown{}
	case "shutdown":
		return &message.ShutdownExecutor{Slave: offer.SlaveID(arg(0)), Executor: offer.ExecutorID(arg(1))}
	case "request":
		q, err := resource.ParseQuantities(arg(1))
		require.NoError(w.t, err)
		return &message.Request{Role: arg(0), Needs: []resource.Quantities{q}}
	case "operate":
		return w.operate(f)
	case "heartbeat":
		return &message.Heartbeat{} // not a master's to receive
	case "nothing":
		return nil
	}
	require.Fail(w.t, "unknown verb "+verb)
	return nil
}

func (w *world) nonceOf(name string) (u offer.UUID) {
	if w.nonce[name] == 0 {
		w.nonce[name] = byte(len(w.nonce) + 1)
	}
	u[0] = w.nonce[name]
	return u
}

func (w *world) slave(id string, plain []string, named map[string]string) offer.Slave {
	address := named["address"]
	if address == "" {
		address = plain[0] + ":5051"
	}
	s := offer.Slave{ID: offer.SlaveID(id), Hostname: plain[0], Address: address, Resources: resourcesJSON(w.t, plain[1]), Version: named["version"]}
	if named["rack"] != "" {
		s.Attributes = []offer.Attribute{{Name: "rack", Text: named["rack"]}}
	}
	return s
}

// reregister reads: id host resources, task=framework/id/state[/resources[/role[/lease]]], exec=framework/id/resources, part=0..., drain=grace.
func (w *world) reregister(plain []string, named map[string]string, lists map[string][]string) message.Message {
	m := &message.SlaveReregister{Last: named["part"] == "" || named["last"] != ""}
	m.Slave = w.slave(plain[0], plain[1:], named)
	if named["part"] != "" {
		n, err := strconv.Atoi(named["part"])
		require.NoError(w.t, err)
		m.Part = uint32(n)
	}
	if named["drain"] != "" {
		m.Draining = &offer.Drain{MaxGrace: w.duration(named["drain"])}
	}
	for _, text := range lists["task"] {
		p := append(strings.Split(text, "/"), "", "", "")
		st := message.SlaveTask{Framework: offer.FrameworkID(p[0]), Role: "*", Task: offer.Task{ID: offer.TaskID(p[1]), Resources: parse(w.t, "cpus:1;mem:64")}}
		st.Latest = state(w.t, p[2])
		if p[3] != "" {
			st.Task.Resources = resourcesJSON(w.t, p[3])
		}
		if p[4] != "" {
			st.Role = p[4]
		}
		if p[5] != "" {
			st.Task.Lease = w.duration(p[5])
		}
		if st.Latest != offer.Staging {
			st.Status = offer.Status{TaskID: st.Task.ID, State: st.Latest, Source: offer.SourceExecutor}
		}
		m.Tasks = append(m.Tasks, st)
	}
	for _, text := range lists["exec"] {
		p := strings.Split(text, "/")
		m.Executors = append(m.Executors, message.SlaveExecutor{Framework: offer.FrameworkID(p[0]), Role: "*",
			Executor: offer.Executor{ID: offer.ExecutorID(p[1]), Resources: parse(w.t, p[2])}})
	}
	return m
}

func (w *world) framework(name string, named map[string]string) offer.Framework {
	f := offer.Framework{Name: name, ID: offer.FrameworkID(named["id"]), Roles: split(named["roles"]), Principal: named["principal"], User: named["user"]}
	if named["timeout"] != "" {
		f.FailoverTimeout = w.duration(named["timeout"])
	}
	for _, c := range split(named["can"]) {
		switch c {
		case "partitions":
			f.Capabilities |= offer.PartitionAware
		case "killing":
			f.Capabilities |= offer.KillingState
		default:
			require.Fail(w.t, "unknown capability "+c)
		}
	}
	return f
}

func (w *world) filter(named map[string]string) (f offer.Filter) {
	switch named["refuse"] {
	case "":
	case "0":
		f.Refuse = offer.NoFilter
	default:
		f.Refuse = w.duration(named["refuse"])
	}
	return f
}

// accept reads: offers (with +), then words in order: launch=task,task...  group=task,task  reserve=resources  unreserve=  create=  destroy=
// with task being id[:resources[:kind]], where kind is cmd (default), lease/DURATION, fn, exec/ID/RESOURCES, none or both; op=ID names the next operation.
func (w *world) accept(f []string, offers func([]string) []offer.OfferID) message.Message {
	m := &message.Accept{Last: true}
	var id offer.OperationID
	for _, word := range f {
		k, v, ok := strings.Cut(word, "=")
		if !ok {
			m.Offers = offers(strings.Split(word, "+"))
			continue
		}
		var op offer.Operation
		switch k {
		case "launch", "group":
			op = offer.Launch(w.tasks(v)...)
			if k == "group" {
				op = offer.LaunchGroup(w.tasks(v)...)
			}
		case "reserve":
			op = offer.Reserve(resourcesJSON(w.t, v))
		case "unreserve":
			op = offer.Unreserve(resourcesJSON(w.t, v))
		case "create":
			op = offer.Create(resourcesJSON(w.t, v))
		case "destroy":
			op = offer.Destroy(resourcesJSON(w.t, v))
		case "op":
			id = offer.OperationID(v)
			continue
		case "refuse":
			m.Filter = w.filter(map[string]string{k: v})
			continue
		case "part":
			n, err := strconv.Atoi(v)
			require.NoError(w.t, err)
			m.Part, m.Last = uint32(n), false
			continue
		case "last":
			m.Last = true
			continue
		default:
			require.Fail(w.t, "unknown operation "+k)
		}
		op.ID, id = id, ""
		m.Operations = append(m.Operations, op)
	}
	return m
}

func (w *world) tasks(text string) (out []offer.Task) {
	for _, one := range strings.Split(text, ",") {
		id, rest, _ := strings.Cut(one, "~")
		res, kind, _ := strings.Cut(rest, "~")
		t := offer.Task{ID: offer.TaskID(strings.ReplaceAll(id, "_", " "))}
		switch res {
		case "":
			t.Resources = parse(w.t, "cpus:1;mem:64")
		case "nothing":
		case "negative":
			t.Resources = resource.Resources{{Name: "cpus", Scalar: -1000}}
		case "overlap":
			t.Resources = resource.Resources{{Name: "ports", Type: resource.RangesType, Ranges: resource.Ranges{{Begin: 31000, End: 31005}, {Begin: 31003, End: 31009}}}}
		default:
			t.Resources = resourcesJSON(w.t, res)
		}
		switch {
		case kind == "" || kind == "cmd":
			t.Command = &offer.Command{Value: "true", Shell: true}
		case strings.HasPrefix(kind, "lease/"):
			t.Command, t.Lease = &offer.Command{Value: "true"}, w.duration(kind[6:])
		case kind == "fn":
			t.Function = "work"
		case kind == "none":
		case kind == "both":
			t.Command, t.Function = &offer.Command{Value: "true"}, "work"
		case strings.HasPrefix(kind, "exec/"):
			p := strings.Split(kind, "/")
			t.Executor = &offer.Executor{ID: offer.ExecutorID(p[1]), Command: &offer.Command{Value: "./executor"}, Resources: parse(w.t, p[2])}
		default:
			require.Fail(w.t, "unknown kind of task "+kind)
		}
		out = append(out, t)
	}
	return out
}

func (w *world) operate(f []string) *message.Operate {
	plain, named, _ := args(f)
	verbs := map[string]message.Verb{"drain": message.VerbDrain, "deactivate": message.VerbDeactivate, "reactivate": message.VerbReactivate,
		"gone": message.VerbMarkGone, "teardown": message.VerbTeardown, "weight": message.VerbSetWeight, "quota": message.VerbSetQuota,
		"reserve": message.VerbReserve, "unreserve": message.VerbUnreserve, "create": message.VerbCreate, "destroy": message.VerbDestroy}
	m := &message.Operate{Seq: 7, Verb: verbs[plain[0]], Slave: offer.SlaveID(named["slave"]), Framework: offer.FrameworkID(named["framework"]), Role: named["role"]}
	if named["grace"] != "" {
		m.Drain.MaxGrace = w.duration(named["grace"])
	}
	m.Force = named["force"] != ""
	m.Drain.MarkGone = named["then"] == "gone"
	if named["weight"] != "" {
		weight, err := resource.ParseScalar(named["weight"])
		require.NoError(w.t, err)
		m.Weight = weight
	}
	for text, to := range map[string]*resource.Quantities{"guarantee": &m.Guarantee, "limit": &m.Limit} {
		if named[text] != "" {
			q, err := resource.ParseQuantities(named[text])
			require.NoError(w.t, err)
			*to = q
		}
	}
	if named["resources"] != "" {
		m.Resources = resourcesJSON(w.t, named["resources"])
	}
	return m
}

func (w *world) showTasks() {
	for t := range w.core.View().Tasks() {
		fmt.Fprintf(&w.out, "%s of %s on %s: %v, latest %v\n", t.ID, t.Framework, t.Slave, t.State, t.Latest)
	}
	for f := range w.core.View().Frameworks() {
		for t := range w.core.View().TasksOf(f.ID) {
			if t.Ended {
				fmt.Fprintf(&w.out, "%s of %s on %s: ended %v\n", t.ID, t.Framework, t.Slave, t.State)
			}
		}
	}
}

func (w *world) showRegistry() {
	v := w.state.View()
	for r := range v.Slaves() {
		fmt.Fprintf(&w.out, "%s %s state=%d inactive=%v drained=%v\n", r.Slave.ID, r.Slave.Hostname, r.State, r.Inactive, r.Drained)
	}
	for r := range v.Frameworks() {
		fmt.Fprintf(&w.out, "%s %s connected=%v remaining=%v\n", r.Framework.ID, r.Framework.Name, r.Connected, r.Remaining)
	}
}
