package slavecore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// world is a slave with a disk, for tests: it performs checkpoints and prints all other effects.
type world struct {
	t       testing.TB
	now     time.Time
	cfg     Config
	core    *Core
	conn    uint64
	reign   uint64
	runs    uint64
	cluster offer.ClusterID

	disk    []Record   // durable
	writing []pendingW // asked, not durable
	manual  bool       // writes wait for "flush"
	out     strings.Builder
	names   map[string]string
	counts  map[byte]int
	heads   map[string]offer.UUID // last sent update
	opHead  offer.UUID
	tokens  map[string]string // of executors
	conts   map[string]string // name to container
	probes  []Probe           // of this run

	asked, durable, acked map[string]bool // containers and uuids: in a checkpoint, on disk, acknowledged on disk
	ran, told             map[string]bool // containers that were started, updates that were sent
}

type pendingW struct {
	token   uint64
	records []Record
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, now: epoch, reign: 1, cluster: "k1", names: map[string]string{}, counts: map[byte]int{}, heads: map[string]offer.UUID{},
		tokens: map[string]string{}, conts: map[string]string{}, asked: map[string]bool{}, durable: map[string]bool{}, acked: map[string]bool{}, ran: map[string]bool{}, told: map[string]bool{}}
	w.cfg = Config{Slave: offer.Slave{Hostname: "h1", Resources: resource.Must("cpus:4;mem:1024;disk:1000")}, BootID: "b1"}
	return w
}

// boot starts a run of the slave on what is on disk.
func (w *world) boot() {
	w.runs++
	w.cfg.Seed = w.runs
	w.cfg.Nonce = offer.UUID{byte(w.runs)}
	w.writing, w.probes = nil, nil
	core, err := New(w.now, w.cfg, w.disk)
	if err != nil {
		fmt.Fprintf(&w.out, "error: %v\n", err)
		w.core = nil
		return
	}
	w.core = core
	w.step(Tick{})
}

// step steps the core, checks it, and performs the effects; without manual, writes reach the disk at once.
func (w *world) step(ev Event) {
	if w.core == nil {
		return
	}
	effects := w.core.Step(w.now, ev, nil)
	require.NoError(w.t, w.core.Check(), "after %T\n%s", ev, w.core.Describe())
	var stop bool
	for _, e := range effects {
		w.perform(e)
		_, s := e.(Stop)
		stop = stop || s
	}
	w.compactsAlike()
	if stop {
		w.core = nil
		return
	}
	if !w.manual {
		w.flush()
	}
}

func (w *world) flush() {
	for len(w.writing) > 0 && w.core != nil {
		p := w.writing[0]
		w.writing = w.writing[1:]
		w.disk = append(w.disk, p.records...)
		w.witness(p.records, true)
		w.step(Checkpointed{Token: p.token})
	}
}

// witness notes what records say about containers and updates.
func (w *world) witness(records []Record, onDisk bool) {
	in := w.asked
	if onDisk {
		in = w.durable
	}
	for _, r := range records {
		switch r := r.(type) {
		case *Launched:
			in[r.Container] = true
		case *ExecutorStarted:
			in[r.Container] = true
		case *Updated:
			in[r.Status.UUID.String()] = true
		case *Acked:
			if u := r.UUID.String(); onDisk {
				w.acked[u] = true
			}
		}
	}
}

// compactsAlike requires that the journal as written and the compacted one replay to the same state.
func (w *world) compactsAlike() {
	if w.core == nil || w.core.stopped {
		return
	}
	full := append([]Record(nil), w.disk...)
	for _, p := range w.writing {
		full = append(full, p.records...)
	}
	a, err := New(w.now, w.cfg, full)
	require.NoError(w.t, err)
	b, err := New(w.now, w.cfg, w.core.Compact())
	require.NoError(w.t, err)
	require.Equal(w.t, a.Describe(), b.Describe(), "journal and compacted journal")
}

// advance lets time pass, with a Tick at each deadline.
func (w *world) advance(d time.Duration) {
	end := w.now.Add(d)
	for i := 0; w.core != nil; i++ {
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

// name gives opaque identifiers short names, in the order of their appearance.
func (w *world) name(prefix byte, id string) string {
	if id == "" || id == (offer.UUID{}).String() {
		return "-"
	}
	n, ok := w.names[id]
	if !ok {
		w.counts[prefix]++
		n = fmt.Sprintf("%c%d", prefix, w.counts[prefix])
		w.names[id] = n
		w.conts[n] = id
	}
	return n
}

func (w *world) perform(e Effect) {
	p := func(format string, args ...any) { fmt.Fprintf(&w.out, format+"\n", args...) }
	switch e := e.(type) {
	case Send:
		w.sent(e.Message)
		p("-> master %s", w.say(e.Message))
	case Reconnect:
		p("reconnect%s", refusal(e.Refusal))
	case Checkpoint:
		w.writing = append(w.writing, pendingW{e.Token, e.Records})
		w.witness(e.Records, false)
		var kinds []string
		for _, r := range e.Records {
			kinds = append(kinds, w.sayRecord(r))
		}
		p("write %s", strings.Join(kinds, ", "))
	case Start:
		what := "task"
		if e.Task != nil {
			what = "task " + string(e.Task.ID)
		} else {
			what = "executor " + string(e.Executor.ID)
			w.tokens[string(e.Framework.ID)+"/"+string(e.Executor.ID)] = e.Token
		}
		require.True(w.t, w.durable[e.Container] || e.Framework.NoCheckpoint, "T5: %s starts before it is on disk", what)
		require.True(w.t, e.Recovered || !w.ran[e.Container], "T5: %s starts twice", what)
		w.ran[e.Container] = true
		if e.Task != nil && e.Task.Lease > 0 {
			require.True(w.t, e.Recovered || e.Renewal > 0, "%s starts before it has its lease", what)
			what += fmt.Sprintf(" lease=%v renewal=%d", e.Task.Lease, e.Renewal)
		}
		if e.Group != "" {
			what += " in " + e.Group
			if !e.Beside.Empty() {
				what += fmt.Sprintf(" beside %v", e.Beside)
			}
		}
		p("start %s %s role=%s recovered=%v%s", w.name('c', e.Container), what, e.Role, e.Recovered, upTo(e.Limits))
	case Adopt:
		p("adopt %s task=%s executor=%s", w.name('c', e.Container), e.Task, e.Executor)
	case Kill:
		p("signal %s sure=%v", w.name('c', e.Container), e.Sure)
	case Probe:
		require.True(w.t, w.ran[e.Container] || w.durable[e.Container], "a container is probed that was never started")
		what := "check"
		if e.Health {
			what = "health"
		}
		w.probes = append(w.probes, e)
		p("probe %d: %s of %s in %s by %v", e.Probe, what, e.Task.ID, w.name('c', e.Container), e.Check().Kind)
	case EndProbe:
		p("end probe %d", e.Probe)
	case Resize:
		p("resize %s to %v%s", w.name('c', e.Container), e.Resources, upTo(e.Limits))
	case Renew:
		p("lease %s of %v counts from renewal %d", w.name('c', e.Container), e.Lease, e.Seq)
	case Forget:
		p("forget %s", w.name('c', e.Container))
	case SendExecutor:
		p("-> executor conn=%d %s", e.Conn, w.say(e.Message))
	case CloseExecutor:
		p("close executor conn=%d%s", e.Conn, refusal(e.Refusal))
	case MakeVolumes:
		p("volumes create=%v destroy=%v", e.Create, e.Destroy)
	case Stop:
		p("stop%s", refusal(e.Refusal))
	case Note:
		p("note %s %s/%s %v %s", e.Event, e.Framework, e.Task, e.Reason, e.Text)
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

func (w *world) sent(m message.Message) {
	switch m := m.(type) {
	case *message.StatusUpdate:
		u := m.Status.UUID.String()
		require.True(w.t, !w.asked[u] || w.durable[u], "an update is sent before it is on disk")
		require.False(w.t, w.acked[u] && w.told[u], "T10: an acknowledged update is sent again")
		w.told[u] = true
		w.heads[string(m.Framework)+"/"+string(m.Status.TaskID)] = m.Status.UUID
	case *message.OperationUpdate:
		w.opHead = m.Status.UUID
	}
}

func (w *world) status(s offer.Status) string {
	out := fmt.Sprintf("%s %v", s.TaskID, s.State)
	if s.Reason != offer.ReasonNone {
		out += " " + s.Reason.String()
	}
	if s.Exit != nil {
		out += fmt.Sprintf(" (%v)", *s.Exit)
	}
	if s.Healthy != nil {
		out += fmt.Sprintf(" healthy=%v", *s.Healthy)
	}
	if s.Check != nil {
		out += fmt.Sprintf(" check=%v", *s.Check)
	}
	if s.Message != "" {
		out += fmt.Sprintf(" %q", s.Message)
	}
	return out
}

func (w *world) say(m message.Message) string {
	switch m := m.(type) {
	case *message.SlaveRegister:
		return fmt.Sprintf("register nonce=%x", m.Nonce[0])
	case *message.SlaveReregister:
		var parts []string
		for _, t := range m.Tasks {
			parts = append(parts, fmt.Sprintf("%s/%s %v", t.Framework, t.Task.ID, t.Latest))
		}
		for _, e := range m.Executors {
			parts = append(parts, fmt.Sprintf("%s/executor %s", e.Framework, e.Executor.ID))
		}
		return fmt.Sprintf("reregister %s part=%d last=%v draining=%v [%s]", m.Slave.ID, m.Part, m.Last, m.Draining != nil, strings.Join(parts, ", "))
	case *message.StatusUpdate:
		return fmt.Sprintf("update %s/%s %s latest=%v", m.Framework, w.status(*m.Status), w.name('u', m.Status.UUID.String()), m.Latest)
	case *message.OperationUpdate:
		return fmt.Sprintf("operation %s %v %v %s", m.Status.ID, m.Status.State, m.Status.Reason, m.Status.Message)
	case *message.ExecutorExited:
		return fmt.Sprintf("executor-exited %s/%s (%v)", m.Framework, m.Executor, m.Exit)
	case *message.FromExecutor:
		return fmt.Sprintf("from-executor %s/%s %q", m.Framework, m.Executor, m.Data)
	case *message.SlaveUnregister:
		return "unregister"
	case *message.Renew:
		return fmt.Sprintf("renew %d", m.Seq)
	case *message.Pong:
		return "pong"
	case *message.ExecutorSubscribed:
		return "subscribed " + string(m.Executor.ID)
	case *message.ExecutorLaunch:
		var ids []string
		for _, t := range m.Tasks {
			ids = append(ids, string(t.ID))
		}
		return fmt.Sprintf("launch %v group=%v", ids, m.Group)
	case *message.ExecutorKill:
		return fmt.Sprintf("kill %s grace=%v", m.Task, m.Policy.Duration())
	case *message.ExecutorAck:
		return fmt.Sprintf("ack %s %s", m.Task, w.name('u', m.UUID.String()))
	case *message.ExecutorMessage:
		return fmt.Sprintf("message %q", m.Data)
	case *message.ExecutorStop:
		return "stop"
	}
	return fmt.Sprintf("%T", m)
}

func (w *world) sayRecord(r Record) string {
	switch r := r.(type) {
	case *Registered:
		return "registered(" + string(r.Slave.ID) + ")"
	case *Reign:
		return fmt.Sprintf("reign(%d)", r.Reign)
	case *Launched:
		return "launched(" + string(r.Task.ID) + ")"
	case *Updated:
		return fmt.Sprintf("updated(%s %v)", r.Status.TaskID, r.Status.State)
	case *Acked:
		return "acked(" + string(r.Task) + ")"
	case *Killed:
		return "killed(" + string(r.Task) + ")"
	case *Resources:
		return fmt.Sprintf("resources(%v acked=%v)", r.Total, r.Acked)
	case *Draining:
		return fmt.Sprintf("draining(%v)", r.Config != nil)
	case *ExecutorStarted:
		return "executor-started(" + string(r.Executor.ID) + ")"
	case *ExecutorEnded:
		return "executor-ended(" + string(r.Executor) + ")"
	case *Boot:
		return "boot(" + r.ID + ")"
	}
	return fmt.Sprintf("%T", r)
}

// upTo says what limits there are above the resources.
func upTo(limits []offer.Limit) string {
	text := ""
	for _, l := range limits {
		if l.Amount == offer.NoLimit {
			text += " " + l.Name + " without bound"
		} else {
			text += " " + l.Name + " up to " + l.Amount.String()
		}
	}
	return text
}
