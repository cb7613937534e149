package frameworkcore

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// TestScenarios runs each file of testdata twice: a core's effects depend on its events alone, so both runs print the same.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		a, b := newWorld(t), newWorld(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			first, second := a.run(d), b.run(d)
			require.Equal(t, first, second, "two runs of %s differ", d.Pos)
			return first
		})
	})
}

// world is a session for tests: it prints the effects. The handler takes everything over at once, unless told otherwise.
type world struct {
	t       testing.TB
	now     time.Time
	cfg     Config
	core    *Core
	conn    uint64
	reign   uint64
	cluster offer.ClusterID
	handler string // "", "slow" or "failing"
	held    []uint64
	out     strings.Builder
	acked   map[offer.UUID]bool
	told    map[offer.UUID]int
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), reign: 1, cluster: "k1", acked: map[offer.UUID]bool{}, told: map[offer.UUID]int{}}
	w.cfg = Config{Framework: offer.Framework{Name: "f", Roles: []string{"ops", "web"}, Capabilities: offer.PartitionAware}, Seed: 1, Nonce: offer.UUID{7}}
	return w
}

func (w *world) begin() {
	core, err := New(w.now, w.cfg)
	if err != nil {
		fmt.Fprintf(&w.out, "error: %v\n", err)
		return
	}
	w.core = core
}

func (w *world) step(ev Event) {
	if w.core == nil {
		w.begin()
	}
	effects := w.core.Step(w.now, ev, nil)
	require.NoError(w.t, w.core.Check(), "after %T\n%s", ev, w.core.Describe())
	for _, e := range effects {
		w.perform(e)
	}
}

func (w *world) perform(e Effect) {
	p := func(format string, args ...any) { fmt.Fprintf(&w.out, format+"\n", args...) }
	switch e := e.(type) {
	case Send:
		require.Equal(w.t, w.core.conn, e.Conn, "sent on a connection that is not the current one")
		if a, ok := e.Message.(*message.Acknowledge); ok {
			w.acked[a.UUID] = true
		}
		p("-> master %s", say(e.Message))
	case Reconnect:
		p("reconnect%s", refusal(e.Refusal))
	case Deliver:
		if u, ok := e.Message.(*message.Update); ok && !u.Status.UUID.IsZero() {
			require.False(w.t, w.acked[u.Status.UUID], "an update is delivered that was acknowledged")
			w.told[u.Status.UUID]++
		}
		p("-> user %d %s", e.Seq, say(e.Message))
		switch w.handler {
		case "slow":
			w.held = append(w.held, e.Seq)
		default:
			w.step(Handled{Seq: e.Seq, Ok: w.handler == ""})
		}
	case End:
		p("end%s", refusal(e.Refusal))
	case Note:
		p("note %s %s %v %s", e.Event, e.Task, e.Reason, e.Text)
	default:
		require.Failf(w.t, "unknown effect", "%T", e)
	}
}

func refusal(r *offer.Refusal) string {
	if r == nil {
		return ""
	}
	return ": " + r.Error()
}

func status(s offer.Status) string {
	out := fmt.Sprintf("%s %v", s.TaskID, s.State)
	if s.SlaveID != "" {
		out += " on " + string(s.SlaveID)
	}
	if s.Reason != offer.ReasonNone {
		out += " " + s.Reason.String()
	}
	if s.Message != "" {
		out += fmt.Sprintf(" %q", s.Message)
	}
	if !s.UUID.IsZero() {
		out += fmt.Sprintf(" u%d", s.UUID[0])
	}
	return out
}

func say(m message.Message) string {
	switch m := m.(type) {
	case *message.Subscribe:
		return fmt.Sprintf("subscribe %q nonce=%x suppressed=%v", m.Framework.ID, m.Nonce[0], m.Suppressed)
	case *message.Subscribed:
		return "subscribed " + string(m.ID)
	case *message.Accept:
		var ops []string
		for _, op := range m.Operations {
			s := op.Kind.String()
			for _, t := range op.Tasks {
				s += fmt.Sprintf(" %s@%s", t.ID, t.SlaveID)
			}
			ops = append(ops, s)
		}
		return fmt.Sprintf("accept %v part=%d last=%v [%s]", m.Offers, m.Part, m.Last, strings.Join(ops, ", "))
	case *message.Decline:
		return fmt.Sprintf("decline %v for %v", m.Offers, m.Filter.Duration())
	case *message.Revive:
		return fmt.Sprintf("revive %v", m.Roles)
	case *message.Suppress:
		return fmt.Sprintf("suppress %v", m.Roles)
	case *message.KillTask:
		return fmt.Sprintf("kill %s on %s", m.Task, m.Slave)
	case *message.Acknowledge:
		return fmt.Sprintf("acknowledge %s on %s u%d", m.Task, m.Slave, m.UUID[0])
	case *message.AcknowledgeOperation:
		return fmt.Sprintf("acknowledge operation %s u%d", m.Operation, m.UUID[0])
	case *message.Reconcile:
		var ids []string
		for _, r := range m.Tasks {
			id := string(r.Task) + "@" + string(r.Slave)
			if r.Lease > 0 {
				id += "@" + r.Lease.String()
			}
			ids = append(ids, id)
		}
		return fmt.Sprintf("reconcile %v", ids)
	case *message.Offers:
		var ids []string
		for _, o := range m.Offers {
			ids = append(ids, string(o.ID))
		}
		return fmt.Sprintf("offers %v", ids)
	case *message.Rescind:
		return fmt.Sprintf("rescind %v", m.Offers)
	case *message.Update:
		return "update " + status(*m.Status)
	case *message.OperationUpdate:
		return fmt.Sprintf("operation %s %v %v", m.Status.ID, m.Status.State, m.Status.Reason)
	case *message.Error:
		return fmt.Sprintf("error %v %s final=%v", m.Reason, m.Message, m.Final)
	case *message.Leader:
		return "leader lost"
	case *message.ToExecutor:
		return fmt.Sprintf("to-executor %s/%s %q", m.Framework, m.Executor, m.Data)
	case *message.UpdateFramework:
		return fmt.Sprintf("update-framework %s %v suppressed=%v", m.Framework.Name, m.Framework.Roles, m.Suppressed)
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", m), "*message.")
}

func (w *world) advance(d time.Duration) {
	end := w.now.Add(d)
	for i := 0; ; i++ {
		require.Less(w.t, i, 10000, "the core never rests")
		at := w.core.Deadline()
		if at.IsZero() || at.After(end) {
			break
		}
		if at.After(w.now) {
			w.now = at
			fmt.Fprintf(&w.out, "+%v\n", at.Sub(end.Add(-d)).Round(time.Second))
		}
		w.step(Tick{})
	}
	w.now = end
}

func (w *world) master(m message.Message) {
	w.step(FromMaster{Conn: w.conn, Envelope: message.Envelope{Cluster: w.cluster, Reign: w.reign, Message: m}})
}

func (w *world) call(m message.Message) { w.step(Called{Call: m}) }

type args struct{ d *datadriven.TestData }

func (a args) has(k string) bool { return a.d.HasArg(k) }

func (a args) str(k, def string) string {
	for _, c := range a.d.CmdArgs {
		if c.Key == k && len(c.Vals) > 0 {
			return c.Vals[0]
		}
	}
	return def
}

func (a args) num(k string, def int) int {
	n, err := strconv.Atoi(a.str(k, strconv.Itoa(def)))
	if err != nil {
		panic(err)
	}
	return n
}

func (a args) list(k string) []string {
	if s := a.str(k, ""); s != "" {
		return strings.Split(s, "+")
	}
	return nil
}

func (a args) pos(n int) string {
	for _, c := range a.d.CmdArgs {
		if len(c.Vals) == 0 {
			if n == 0 {
				return c.Key
			}
			n--
		}
	}
	return ""
}

func (w *world) run(d *datadriven.TestData) string {
	w.t.Helper()
	w.out.Reset()
	a := args{d}
	if !w.runSession(d.Cmd, a) && !w.runMaster(d.Cmd, a) && !w.runCall(d.Cmd, a) {
		d.Fatalf(w.t.(*testing.T), "unknown command %q", d.Cmd)
	}
	if w.out.Len() == 0 {
		return "(nothing)\n"
	}
	return w.out.String()
}

func (w *world) runSession(cmd string, a args) bool {
	switch cmd {
	case "config":
		w.cfg.Framework.ID = offer.FrameworkID(a.str("id", ""))
		w.cfg.PartBytes = a.num("part", 0)
		w.cfg.MaxOutstanding = a.num("outstanding", 0)
		w.cfg.MaxQueued = a.num("queued", 0)
		w.cfg.MaxCalls = a.num("calls", 0)
		w.cfg.Suppressed = a.list("suppressed")
		w.begin()
	case "connect":
		w.conn++
		w.step(Connected{Conn: w.conn})
	case "disconnect":
		w.step(Disconnected{Conn: w.conn})
	case "up":
		w.conn++
		w.step(Connected{Conn: w.conn})
		w.master(&message.Subscribed{ID: "f-1", Heartbeat: 15 * time.Second})
		w.out.Reset()
	case "handler":
		w.handler = strings.TrimPrefix(a.pos(0), "willing")
	case "handle": // the slow handler takes over what it holds
		held := w.held
		w.held = nil
		for _, seq := range held {
			w.step(Handled{Seq: seq, Ok: !a.has("failing")})
		}
	case "advance":
		d, err := time.ParseDuration(a.pos(0))
		require.NoError(w.t, err)
		w.advance(d)
	case "describe":
		w.out.WriteString(w.core.Describe())
	default:
		return false
	}
	return true
}

func (w *world) runMaster(cmd string, a args) bool {
	switch cmd {
	case "reign":
		w.reign = uint64(a.num("n", 1))
		w.cluster = offer.ClusterID(a.str("cluster", string(w.cluster)))
	case "subscribed":
		w.master(&message.Subscribed{ID: offer.FrameworkID(a.pos(0)), Heartbeat: 15 * time.Second})
	case "offers":
		m := &message.Offers{}
		for _, s := range strings.Split(a.pos(0), "+") {
			id, slave, _ := strings.Cut(s, "@")
			m.Offers = append(m.Offers, offer.Offer{ID: offer.OfferID(id), SlaveID: offer.SlaveID(slave), Resources: resource.Must("cpus:4")})
		}
		w.master(m)
	case "rescind":
		m := &message.Rescind{}
		for _, id := range strings.Split(a.pos(0), "+") {
			m.Offers = append(m.Offers, offer.OfferID(id))
		}
		w.master(m)
	case "update":
		st := offer.Status{TaskID: offer.TaskID(a.pos(0)), SlaveID: offer.SlaveID(a.str("slave", "s1"))}
		require.NoError(w.t, st.State.UnmarshalText([]byte("TASK_"+a.pos(1))))
		if n := a.num("u", 0); n > 0 {
			st.UUID = offer.UUID{byte(n)}
		} else {
			st.Reason = offer.ReasonReconciliation
		}
		w.master(&message.Update{Status: &st})
	case "operation":
		w.master(&message.OperationUpdate{Framework: "f-1", Status: offer.OperationStatus{ID: "op1", SlaveID: "s1", State: offer.OperationFinished,
			UUID: offer.UUID{byte(a.num("u", 0))}}})
	case "heartbeat":
		w.master(&message.Heartbeat{})
	case "error":
		if a.has("final") {
			w.master(&message.Error{Reason: offer.ReasonFrameworkCompleted, Message: "torn down", Final: true})
		} else {
			w.master(&message.Error{Reason: offer.ReasonLimitReached, Message: "another change is under way"})
		}
	case "leader":
		w.master(&message.Leader{})
	case "failure":
		w.master(&message.Failure{Slave: "s1", Executor: offer.ExecutorID(a.str("executor", ""))})
	default:
		return false
	}
	return true
}

func tasksOf(ids []string) (out []offer.Task) {
	for _, id := range ids {
		id, text, _ := strings.Cut(id, "~")
		lease, err := time.ParseDuration(text + "0s")
		if err != nil {
			panic(err)
		}
		out = append(out, offer.Task{ID: offer.TaskID(id), Lease: lease, Resources: resource.Must("cpus:1"), Command: &offer.Command{Value: "true"}})
	}
	return out
}

func offerIDs(ids []string) (out []offer.OfferID) {
	for _, id := range ids {
		out = append(out, offer.OfferID(id))
	}
	return out
}

func (w *world) runCall(cmd string, a args) bool {
	switch cmd {
	case "accept":
		m := &message.Accept{Offers: offerIDs(a.list("offers"))}
		if ids := a.list("launch"); ids != nil {
			m.Operations = append(m.Operations, offer.Launch(tasksOf(ids)...))
		}
		if ids := a.list("group"); ids != nil {
			m.Operations = append(m.Operations, offer.LaunchGroup(tasksOf(ids)...))
		}
		if a.has("reserve") {
			op := offer.Reserve(resource.Must("cpus:1"))
			op.ID = "op1"
			m.Operations = append(m.Operations, op)
		}
		w.call(m)
	case "decline":
		w.call(&message.Decline{Offers: offerIDs(a.list("offers"))})
	case "revive":
		w.call(&message.Revive{Roles: a.list("roles")})
	case "suppress":
		w.call(&message.Suppress{Roles: a.list("roles")})
	case "kill":
		w.call(&message.KillTask{Task: offer.TaskID(a.pos(0))})
	case "reconcile":
		m := &message.Reconcile{}
		for _, id := range a.list("tasks") {
			m.Tasks = append(m.Tasks, message.TaskRef{Task: offer.TaskID(id)})
		}
		w.call(m)
	case "to-executor":
		w.call(&message.ToExecutor{Slave: "s1", Executor: "e1", Data: []byte("hi")})
	case "update-framework":
		w.call(&message.UpdateFramework{Framework: offer.Framework{Name: "renamed", Principal: "mallory", Roles: a.list("roles")}})
	case "teardown":
		w.call(&message.Teardown{})
	case "subscribe-call":
		w.call(&message.Subscribe{})
	default:
		return false
	}
	return true
}
