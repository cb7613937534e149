package slavecore

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

type args struct{ d *datadriven.TestData }

func (a args) has(k string) bool { return a.d.HasArg(k) }

func (a args) str(k, def string) string {
	for _, c := range a.d.CmdArgs {
		if c.Key == k && len(c.Vals) > 0 {
			return strings.Join(c.Vals, ",")
		}
	}
	return def
}

func (a args) dur(k string, def time.Duration) time.Duration {
	d, err := time.ParseDuration(a.str(k, def.String()))
	if err != nil {
		panic(err)
	}
	return d
}

func (a args) num(k string, def int) int {
	n, err := strconv.Atoi(a.str(k, strconv.Itoa(def)))
	if err != nil {
		panic(err)
	}
	return n
}

// pos returns the nth argument that has no value.
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

func pair(s string) (string, string) {
	a, b, _ := strings.Cut(s, "/")
	return a, b
}

func (w *world) run(d *datadriven.TestData) string {
	w.t.Helper()
	w.out.Reset()
	a := args{d}
	if !w.runSlave(d.Cmd, a) && !w.runMaster(d.Cmd, a) && !w.runExecutor(d.Cmd, a) {
		d.Fatalf(w.t.(*testing.T), "unknown command %q", d.Cmd)
	}
	if w.out.Len() == 0 {
		return "(nothing)\n"
	}
	return w.out.String()
}

func (w *world) runSlave(cmd string, a args) bool {
	switch cmd {
	case "config":
		w.cfg.PartBytes = a.num("part", w.cfg.PartBytes)
		w.cfg.MaxTasks = a.num("max-tasks", w.cfg.MaxTasks)
		w.cfg.MaxProbes = a.num("max-probes", w.cfg.MaxProbes)
		w.cfg.MaxUpdates = a.num("max-updates", w.cfg.MaxUpdates)
		w.cfg.PingTimeout = a.dur("ping", w.cfg.PingTimeout)
		w.cfg.BootID = a.str("boot", w.cfg.BootID)
		if n := a.str("cpus", ""); n != "" {
			w.cfg.Slave.Resources = resource.Must("cpus:" + n + ";mem:1024;disk:" + a.str("disk", "1000"))
		}
	case "boot": // a run of the slave begins; what was not on disk is lost
		w.boot()
	case "connect":
		w.conn++
		w.step(Connected{Conn: w.conn})
	case "disconnect":
		w.step(Disconnected{Conn: w.conn})
	case "up": // boot, connect and register in one
		w.boot()
		w.conn++
		w.step(Connected{Conn: w.conn})
		w.master(&message.SlaveRegistered{ID: "s-1"})
		w.out.Reset()
	case "disk":
		w.manual = a.pos(0) == "manual"
	case "flush":
		w.flush()
	case "tear": // so many records of the oldest write get to the disk, and the process dies
		n, err := strconv.Atoi(a.pos(0))
		require.NoError(w.t, err)
		p := w.writing[0]
		w.disk = append(w.disk, p.records[:n]...)
		w.witness(p.records[:n], true)
		w.writing, w.core = nil, nil
	case "fail-write":
		w.step(CheckpointFailed{Token: w.writing[0].token, Error: "no space left on device"})
	case "advance":
		d, err := time.ParseDuration(a.pos(0))
		require.NoError(w.t, err)
		w.advance(d)
	case "started":
		w.step(Started{Container: w.conts[a.pos(0)], PID: 100, Sandbox: "/sandbox"})
	case "start-failed":
		ev := StartFailed{Container: w.conts[a.pos(0)], Error: a.str("error", "no such program")}
		if a.has("lease") {
			ev.Reason, ev.Error = offer.ReasonLeaseExpired, "its lease ran out before it was started"
		}
		w.step(ev)
	case "exited":
		ev := Exited{Container: w.conts[a.pos(0)], Known: !a.has("unknown"), Exit: offer.Exit{Code: a.num("code", 0), Signal: a.num("signal", 0)}}
		if a.has("memory") {
			ev.Reason, ev.Message, ev.Limitation = offer.ReasonContainerLimitationMemory, "memory limit exceeded", resource.Must("mem:64")
		}
		if a.has("lease") {
			ev.Reason, ev.Message = offer.ReasonLeaseExpired, "its lease of 30s was not renewed in time"
		}
		w.step(ev)
	case "probed": // the nth probe of this run, counted from 1
		ev := Probed{Probe: uint64(a.num("n", len(w.probes))), Error: a.str("error", "")}
		ev.Void = a.has("void")
		if ev.Error == "" {
			ev.Result = offer.CheckResult{Known: true, ExitCode: a.num("code", 0), Status: a.num("status", 0), Succeeded: !a.has("refused")}
		}
		w.step(ev)
	case "stop":
		w.step(StopAsked{Leave: a.has("leave")})
	case "describe":
		w.out.WriteString(w.core.Describe())
	case "journal":
		for _, r := range w.disk {
			fmt.Fprintln(&w.out, w.sayRecord(r))
		}
	case "compact":
		w.disk = w.core.Compact()
		for _, r := range w.disk {
			fmt.Fprintln(&w.out, w.sayRecord(r))
		}
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
	case "registered":
		m := &message.SlaveRegistered{ID: offer.SlaveID(a.pos(0))}
		if r := a.str("reconcile", ""); r != "" {
			for _, s := range strings.Split(r, ",") {
				f, t := pair(s)
				m.Reconcile = append(m.Reconcile, message.TaskRef{Framework: offer.FrameworkID(f), Task: offer.TaskID(t)})
			}
		}
		w.master(m)
	case "refused":
		w.master(&message.SlaveRefused{Reason: offer.ReasonSlaveGone, Message: "marked gone", Shutdown: a.has("shutdown")})
	case "leader":
		w.master(&message.Leader{})
	case "ping":
		w.master(&message.Ping{Connected: !a.has("disowned")})
	case "launch":
		w.master(w.launchMessage(a))
	case "kill":
		f, t := pair(a.pos(0))
		m := &message.Kill{Framework: offer.FrameworkID(f), Task: offer.TaskID(t)}
		if a.has("grace") {
			m.Policy = &offer.KillPolicy{Grace: a.dur("grace", 0)}
		}
		w.master(m)
	case "ack":
		f, t := pair(a.pos(0))
		u := w.heads[a.pos(0)]
		if a.has("wrong") {
			u = offer.UUID{1}
		}
		w.master(&message.StatusAck{Framework: offer.FrameworkID(f), Task: offer.TaskID(t), UUID: u})
	case "apply":
		w.master(&message.Apply{Framework: "f1", UUID: offer.UUID{byte(a.num("n", 1))}, Operation: operationOf(a)})
	case "ack-operation":
		w.master(&message.OperationAck{Framework: "f1", UUID: w.opHead})
	case "renewed":
		w.master(&message.Renewed{Seq: uint64(a.num("n", 1))})
	case "resend":
		w.master(&message.Resend{Framework: offer.FrameworkID(a.pos(0))})
	case "shutdown-framework":
		w.master(&message.FrameworkShutdown{Framework: offer.FrameworkID(a.pos(0))})
	case "shutdown-executor":
		f, e := pair(a.pos(0))
		w.master(&message.ExecutorShutdown{Framework: offer.FrameworkID(f), Executor: offer.ExecutorID(e)})
	case "to-executor":
		f, e := pair(a.pos(0))
		w.master(&message.ToExecutor{Framework: offer.FrameworkID(f), Executor: offer.ExecutorID(e), Data: []byte("hi")})
	case "drain":
		if a.has("end") {
			w.master(&message.Drain{})
			return true
		}
		w.master(&message.Drain{Config: &offer.Drain{MaxGrace: a.dur("grace", -1), MarkGone: a.has("gone")}})
	default:
		return false
	}
	return true
}

func operationOf(a args) offer.Operation {
	reserved, volumes := volumesOf(resource.Must(a.str("resources", "disk:100")))
	op := offer.Operation{ID: offer.OperationID(a.str("id", "op1"))}
	switch a.pos(0) {
	case "reserve":
		op.Kind, op.Resources = offer.OperationReserve, reserved
	case "unreserve":
		op.Kind, op.Resources = offer.OperationUnreserve, reserved
	case "create":
		op.Kind, op.Resources = offer.OperationCreate, volumes
	case "destroy":
		op.Kind, op.Resources = offer.OperationDestroy, volumes
	default:
		op.Kind = offer.OperationLaunch
	}
	return op
}

// volumesOf reserves resources to ops, and makes the volume v1 of them.
func volumesOf(rs resource.Resources) (reserved, volumes resource.Resources) {
	reserved, err := rs.Reserve(resource.Reservation{Type: resource.Dynamic, Role: "ops"})
	if err != nil {
		panic(err)
	}
	for _, r := range reserved {
		r.Volume = &resource.Volume{ID: "v1", ContainerPath: "data"}
		volumes = append(volumes, r)
	}
	return reserved, volumes
}

func (w *world) launchMessage(a args) *message.Launch {
	f, ids := pair(a.pos(0))
	m := &message.Launch{Framework: offer.Framework{ID: offer.FrameworkID(f), Name: f, NoCheckpoint: a.has("volatile")}, Role: "ops", Group: a.has("group")}
	if a.has("killing-state") {
		m.Framework.Capabilities = offer.KillingState
	}
	var ex *offer.Executor
	if e := a.str("executor", ""); e != "" {
		ex = &offer.Executor{ID: offer.ExecutorID(e), Name: a.str("executor-name", ""), Command: &offer.Command{Value: "run"}, Default: a.has("default")}
		if ex.Default {
			ex.Command = nil
		}
		ex.EndWithLateTask, ex.Hostname = a.has("end-with-late-task"), a.str("executor-hostname", "")
		ex.Resources = resource.Must(a.str("executor-resources", ""))
	}
	for _, id := range strings.Split(ids, "+") {
		t := offer.Task{ID: offer.TaskID(id), Resources: resource.Must("cpus:0.1;mem:32"), Kill: offer.KillPolicy{Grace: a.dur("grace", 0)},
			MaxCompletion: a.dur("max", 0), Lease: a.dur("lease", 0), ShareCgroups: a.has("share"), Hostname: a.str("hostname", "")}
		if a.has("max-first") && len(m.Tasks) > 0 {
			t.MaxCompletion = 0
		}
		if of := a.str("health", ""); of != "" {
			t.Health = &offer.HealthCheck{Check: checkOf(a, of), Grace: a.dur("forgiving", 0), Failures: a.num("failures", 0)}
		}
		if of := a.str("check", ""); of != "" {
			check := checkOf(a, of)
			t.Check = &check
		}
		if most := a.str("most-mem", ""); most != "" {
			t.Limits = []offer.Limit{{Name: resource.Mem, Amount: offer.NoLimit}}
			if most != "all" {
				t.Limits[0].Amount = resource.Must("mem:" + most).Mem()
			}
		}
		if a.has("volume") {
			_, volume := volumesOf(resource.Must("disk:100"))
			t.Resources = t.Resources.Add(volume)
		}
		switch {
		case a.has("broken"):
		case m.Group:
			m.Executor = ex
			if ex == nil || ex.Default {
				t.Command = &offer.Command{Value: "true"}
			}
		case ex != nil:
			t.Executor = ex
		default:
			t.Command = &offer.Command{Value: "true"}
		}
		m.Tasks = append(m.Tasks, t)
	}
	return m
}

func checkOf(a args, kind string) offer.Check {
	c := offer.Check{Delay: a.dur("delay", 0), Interval: a.dur("interval", 0), Timeout: a.dur("timeout", 0)}
	switch kind {
	case "command":
		c.Kind, c.Command = offer.CheckCommand, &offer.Command{Value: "true", Shell: true}
	case "http":
		c.Kind, c.Port = offer.CheckHTTP, 80
	case "tcp":
		c.Kind, c.Port = offer.CheckTCP, 80
	case "nothing":
	default:
		panic(kind)
	}
	return c
}

func (w *world) runExecutor(cmd string, a args) bool {
	conn := uint64(a.num("conn", 1))
	switch cmd {
	case "subscribe":
		f, e := pair(a.pos(0))
		m := &message.ExecutorSubscribe{Framework: offer.FrameworkID(f), Executor: offer.ExecutorID(e), Token: w.tokens[a.pos(0)]}
		if a.has("forged") {
			m.Token = "forged"
		}
		if ids := a.str("tasks", ""); ids != "" {
			for _, id := range strings.Split(ids, "+") {
				m.Tasks = append(m.Tasks, offer.Task{ID: offer.TaskID(id)})
			}
		}
		w.step(FromExecutor{Conn: conn, Message: m})
	case "report":
		st := offer.Status{TaskID: offer.TaskID(a.pos(0)), UUID: offer.UUID{0xee, byte(a.num("n", 1))}}
		require.NoError(w.t, st.State.UnmarshalText([]byte("TASK_"+a.pos(1))))
		if healthy := a.has("healthy"); healthy || a.has("unhealthy") {
			st.Healthy, st.Reason = &healthy, offer.ReasonTaskHealthCheckStatusUpdated
		}
		w.step(FromExecutor{Conn: conn, Message: &message.ExecutorUpdate{Status: st}})
	case "executor-says":
		w.step(FromExecutor{Conn: conn, Message: &message.ExecutorMessage{Data: []byte("hello")}})
	case "executor-disconnect":
		w.step(ExecutorDisconnected{Conn: conn})
	default:
		return false
	}
	return true
}
