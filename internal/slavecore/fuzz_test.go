package slavecore

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// chaos drives a world with events from any source of small numbers, sensible and not.
type chaos struct {
	*world
	pick func(n int) int
	tick int
}

func (x *chaos) ids() (offer.FrameworkID, offer.TaskID) {
	return offer.FrameworkID(fmt.Sprintf("f%d", x.pick(2))), offer.TaskID(fmt.Sprintf("t%d", x.pick(6)))
}

// container names one that was ever started, or one that never was.
func (x *chaos) container() string {
	n := x.counts['c']
	return x.conts[fmt.Sprintf("c%d", x.pick(n+1))]
}

func (x *chaos) one() {
	if x.core == nil {
		x.boot()
		return
	}
	x.tick++
	f, t := x.ids()
	switch x.pick(29) {
	case 0:
		if x.pick(4) == 0 {
			x.conn++
			x.step(Connected{Conn: x.conn})
		}
	case 1:
		if x.pick(4) == 0 {
			x.step(Disconnected{Conn: x.conn})
		}
	case 2, 3:
		x.master(&message.SlaveRegistered{ID: "s-1", Reconcile: []message.TaskRef{{Framework: f, Task: t}}})
	case 4, 5, 6:
		x.master(x.launchOf(f, t))
	case 7:
		x.master(&message.Kill{Framework: f, Task: t, Policy: &offer.KillPolicy{Grace: time.Duration(x.pick(3)-1) * time.Second}})
	case 8, 9, 10:
		x.master(&message.StatusAck{Framework: f, Task: t, UUID: x.heads[string(f)+"/"+string(t)]})
	case 11, 12:
		x.step(Started{Container: x.container(), PID: 1})
	case 13, 14:
		x.step(Exited{Container: x.container(), Known: x.pick(4) > 0, Exit: offer.Exit{Code: x.pick(2)}})
	case 15:
		x.step(StartFailed{Container: x.container()})
	case 16:
		x.advance(time.Duration(x.pick(20)) * time.Second)
	case 17:
		x.manual = x.pick(2) == 0
		x.flush()
	case 18:
		if x.pick(4) == 0 {
			x.boot() // kill -9: what is not on disk is lost
		}
	case 19, 20, 21:
		x.executor(f)
	case 22:
		x.master(&message.Apply{Framework: f, UUID: offer.UUID{byte(x.pick(5))}, Operation: operationFor(x.pick(4))})
	case 23:
		x.master(&message.OperationAck{Framework: f, UUID: offer.UUID{byte(x.pick(5))}})
	case 24:
		if x.pick(4) == 0 {
			x.rare(f)
		}
	case 25:
		x.master(&message.Ping{Connected: x.pick(8) > 0})
	case 27, 28:
		x.probed()
	case 26: // a good connection, so that the rest means something
		if !x.core.registration.registered {
			x.conn++
			x.step(Connected{Conn: x.conn})
			x.master(&message.SlaveRegistered{ID: "s-1"})
		}
	}
}

func (x *chaos) rare(f offer.FrameworkID) {
	switch x.pick(9) {
	case 0:
		x.master(&message.FrameworkShutdown{Framework: f})
	case 1:
		x.master(&message.ExecutorShutdown{Framework: f, Executor: "e0"})
	case 2:
		x.master(&message.Drain{Config: &offer.Drain{MaxGrace: time.Duration(x.pick(3)-1) * time.Second, MarkGone: x.pick(2) == 0}})
	case 3:
		x.master(&message.Drain{})
	case 4:
		x.reign += uint64(x.pick(3))
	case 5:
		x.cfg.BootID = fmt.Sprintf("b%d", x.pick(3))
		x.boot()
	case 6:
		x.step(StopAsked{Leave: x.pick(2) == 0})
	case 7:
		x.master(&message.SlaveRefused{Reason: offer.ReasonSlaveGone, Shutdown: x.pick(3) == 0})
	case 8:
		x.step(CheckpointFailed{Token: uint64(x.pick(100)), Error: "no"})
	}
}

// probed answers a probe of this run, or one that never was, or one for the second time.
func (x *chaos) probed() {
	ev := Probed{Probe: uint64(x.pick(3))}
	if n := len(x.probes); n > 0 {
		ev.Probe = x.probes[n-1-x.pick(min(n, 4))].Probe
	}
	ev.Void = x.pick(8) == 0
	if x.pick(3) > 0 {
		ev.Result = offer.CheckResult{Kind: offer.CheckKind(x.pick(4)), Known: x.pick(4) > 0, ExitCode: x.pick(2), Status: 200 * x.pick(3), Succeeded: x.pick(2) == 0}
	}
	x.step(ev)
}

func (x *chaos) checkOf() *offer.Check {
	c := offer.Check{Kind: offer.CheckKind(1 + x.pick(3)), Delay: time.Duration(x.pick(3)-1) * time.Second, Interval: time.Duration(x.pick(3)) * time.Second}
	if c.Kind == offer.CheckCommand {
		c.Command = &offer.Command{Value: "true"}
	} else {
		c.Port = uint16(x.pick(8)) // mostly one that there is
	}
	return &c
}

func (x *chaos) launchOf(f offer.FrameworkID, t offer.TaskID) *message.Launch {
	m := &message.Launch{Framework: offer.Framework{ID: f, Name: "f", NoCheckpoint: f == "f1" && x.pick(2) == 0}, Role: "ops", Group: x.pick(3) == 0}
	var ex *offer.Executor
	if x.pick(2) == 0 {
		ex = &offer.Executor{ID: offer.ExecutorID(fmt.Sprintf("e%d", x.pick(2))), Default: m.Group && x.pick(2) == 0}
		ex.EndWithLateTask = ex.ID == "e1" && !ex.Default
		ex.ID += offer.ExecutorID(fmt.Sprint(ex.Default))[:1]
	}
	for i := range 1 + x.pick(3) {
		task := offer.Task{ID: t + offer.TaskID(fmt.Sprint(i))[:i%2], MaxCompletion: time.Duration(x.pick(2)*x.pick(30)) * time.Second}
		task.Resources = resource.Must("cpus:1")
		if x.pick(3) == 0 {
			task.Health = &offer.HealthCheck{Check: *x.checkOf(), Grace: time.Duration(1-2*x.pick(2)) * time.Second, Failures: 1 + x.pick(2)}
		}
		if x.pick(4) == 0 {
			task.Check = x.checkOf()
		}
		switch {
		case m.Group:
			m.Executor = ex
			if ex == nil || ex.Default {
				task.Function = "work"
			}
		case ex != nil:
			task.Executor = ex
		default:
			task.Function = "work"
		}
		m.Tasks = append(m.Tasks, task)
	}
	return m
}

func (x *chaos) executor(f offer.FrameworkID) {
	conn := uint64(1 + x.pick(4))
	_, t := x.ids()
	e := fmt.Sprintf("e%df", x.pick(2))
	st := offer.Status{TaskID: t, State: offer.State(x.pick(14)), UUID: offer.UUID{0xee, byte(x.tick), byte(x.tick >> 8)}}
	switch x.pick(6) {
	case 0, 1, 2:
		x.step(FromExecutor{Conn: conn, Message: &message.ExecutorUpdate{Status: st}})
	case 3, 4:
		m := &message.ExecutorSubscribe{Framework: f, Executor: offer.ExecutorID(e), Token: x.tokens[string(f)+"/"+e]}
		if x.pick(2) == 0 {
			m.Tasks = []offer.Task{{ID: t}}
			m.Updates = []offer.Status{st}
		}
		x.step(FromExecutor{Conn: conn, Message: m})
	case 5:
		x.step(ExecutorDisconnected{Conn: conn})
	}
}

func operationFor(n int) offer.Operation {
	rs, err := resource.Must("disk:100").Reserve(resource.Reservation{Type: resource.Dynamic, Role: "ops"})
	if err != nil {
		panic(err)
	}
	op := offer.Operation{ID: "o", Kind: offer.OperationReserve + offer.OperationKind(n), Resources: rs}
	if n >= 2 {
		v := rs[0]
		v.Volume = &resource.Volume{ID: "v", ContainerPath: "data"}
		op.Resources = resource.Resources{v}
	}
	return op
}

// TestAnyOrderOfEvents holds the invariants over random lives of a slave, restarts and lost writes included, and twice the same.
func TestAnyOrderOfEvents(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		seed, n := rapid.Uint64().Draw(r, "seed"), rapid.IntRange(1, 400).Draw(r, "events")
		random := func() func(int) int { return rand.New(rand.NewPCG(seed, 1)).IntN }
		require.Equal(t, live(t, n, random()), live(t, n, random()), "two runs of the same events differ")
	})
}

func live(t testing.TB, events int, pick func(n int) int) string {
	x := &chaos{world: newWorld(t), pick: pick}
	x.cfg.MaxProbes = 3
	x.cfg.MaxUpdates, x.cfg.ExecutorRegistrationTimeout, x.cfg.StopTimeout = 4, 20*time.Second, 20*time.Second
	for range events {
		x.one()
	}
	return x.out.String()
}

// FuzzStep is TestAnyOrderOfEvents for the fuzzer.
func FuzzStep(f *testing.F) {
	f.Add([]byte("0,2,4,11,8,13,8,18,0,2,19,21,24"))
	f.Add([]byte{0, 0, 0, 2, 0, 0, 0, 4, 4, 0, 0, 1, 1, 1, 0, 11, 13, 18})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4096 {
			return
		}
		live(t, len(b)/3, func(n int) int {
			if len(b) == 0 {
				return 0
			}
			v := int(b[0])
			b = b[1:]
			return v % n
		})
	})
}
