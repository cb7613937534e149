package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/frameworkcore"
	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A lab is a calm world in which tasks run, with its parts at hand for something wrong to be done to them.
type lab struct {
	*World
	h    *history
	r    *reign
	f, g *framework
	s, o *slave
	task *record    // of f, on s
	c    *container // of the task
}

func newLab(t *testing.T) *lab {
	w := New(Config{Seed: 5, Slaves: 3, Runs: long, Faults: NoFaults})
	for _, f := range w.frameworks {
		f.user.(*program).goal = 3
	}
	w.until(epoch.Add(3 * time.Minute))
	require.Nil(t, w.failed)
	l := &lab{World: w, h: &w.history, r: w.log.leader, f: w.frameworks[0], g: w.frameworks[1]}
	for _, r := range w.history.order {
		if r.running && r.framework == l.f.fid && len(r.log) == 1 {
			l.task, l.s = r, r.slave
			break
		}
	}
	require.NotNil(t, l.task)
	for _, c := range l.s.runtime.all {
		if c.task == l.task.key {
			l.c = c
		}
	}
	l.o = w.slaves[0]
	if l.o == l.s {
		l.o = w.slaves[1]
	}
	w.calm, w.healed = true, w.ns
	return l
}

func (l *lab) stream() *link { return l.r.office.streams[l.f.fid] }

// anew lets the task start again, as if it had not.
func (l *lab) anew(rs string) {
	l.task.starts, l.s.runtime.running = 0, nil
	if rs != "" {
		l.task.resources = resource.Must(rs)
	}
}

// status makes one of the task.
func (l *lab) status(state offer.State) *offer.Status {
	return &offer.Status{TaskID: l.task.id(), SlaveID: l.s.sid, State: state, UUID: l.uuid()}
}

func (l *lab) update(state offer.State) *slavecore.Updated {
	return &slavecore.Updated{Framework: l.f.fid, Status: l.status(state)}
}

// propose shows the observer that the leader writes.
func (l *lab) propose(ops ...registry.Op) {
	var commands []registry.Command
	for _, op := range ops {
		commands = append(commands, registry.Command{Key: registry.Key(l.uuid()), Op: op})
	}
	l.h.proposed(l.r, commands)
}

func (l *lab) wait(d time.Duration) { l.until(l.now.Add(d)) }

func (l *lab) late() *message.Accept {
	return &message.Accept{Last: true, Offers: []offer.OfferID{"o-1-999"}, Operations: []offer.Operation{offer.Launch(offer.Task{ID: "new"})}}
}

func (l *lab) launch(task offer.TaskID) *message.Launch {
	return &message.Launch{Framework: offer.Framework{ID: l.f.fid}, Role: "*", Tasks: []offer.Task{{ID: task}}}
}

func (l *lab) quota(n int64) {
	l.operator.limits["*"] = true
	l.operator.ask(message.Operate{Verb: message.VerbSetQuota, Role: "*", Force: true, Limit: resource.Quantities{{Name: resource.CPUs, Amount: resource.Units(n)}}})
}

func volume(t *testing.T) resource.Resources {
	rs, err := resource.Must("disk:64").Reserve(resource.Reservation{Type: resource.Dynamic, Role: "a"})
	require.NoError(t, err)
	v, err := rs.WithVolume(resource.Volume{ID: "v", ContainerPath: "data"})
	require.NoError(t, err)
	return v
}

// Each case does what a rule forbids, and the rule says so. A rule that cannot fail is none.
func TestEachRuleCanFail(t *testing.T) {
	for name, do := range ruleCases(t) {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			do(l)
			require.NotNil(t, l.failed, "nobody noticed")
			rule, _, _ := strings.Cut(name, " ")
			require.Equal(t, rule, l.failed.Rule, "%v", l.failed)
		})
	}
}

func ruleCases(t *testing.T) map[string]func(*lab) {
	all := map[string]func(*lab){}
	for _, some := range []map[string]func(*lab){resourceCases(t), taskCases(), registryCases(), slaveCases(), healthCases(), leaseCases(), frameworkCases()} {
		for name, do := range some {
			all[name] = do
		}
	}
	return all
}

func resourceCases(t *testing.T) map[string]func(*lab) {
	return map[string]func(*lab){
		"R1 more runs than there is": func(l *lab) {
			l.anew("cpus:5")
			l.h.started(l.s, l.c, l.task.key)
		},
		"R3 a late accept is launched": func(l *lab) {
			l.h.asked(l.r, l.stream(), l.late())
			l.h.told(l.r, l.stream(), l.launch("new"))
		},
		"R3 a late accept is not answered": func(l *lab) {
			l.h.asked(l.r, l.stream(), l.late())
			l.h.stepped(l.r)
		},
		"R3 a late accept is answered twice": func(l *lab) {
			l.h.asked(l.r, l.stream(), l.late())
			for range 2 {
				l.h.told(l.r, l.stream(), &message.Update{Status: &offer.Status{TaskID: "new", State: offer.Dropped, Reason: offer.ReasonInvalidOffers}})
			}
		},
		"R4 a task is there for ever": func(l *lab) { l.checkBooks() },
		"R5 a task is launched with less than it was accepted with": func(l *lab) {
			exact := offer.Launch(offer.Task{ID: "new", Resources: resource.Must("cpus:0.1")})
			l.h.asked(l.r, l.stream(), &message.Accept{Last: true, Operations: []offer.Operation{exact}})
			rounded := l.launch("new")
			rounded.Tasks[0].Resources = resource.Must("cpus:0.099")
			l.h.told(l.r, l.stream(), rounded)
		},
		"R6 a port is used twice": func(l *lab) {
			l.anew("ports:[31000-31000]")
			other := *l.task
			l.s.runtime.running = append(l.s.runtime.running, &other)
			l.h.started(l.s, l.c, l.task.key)
		},
		"R7 reserved for another role": func(l *lab) {
			l.h.offered(l.f, []offer.Offer{{ID: "o", Role: "*", Resources: volume(t)}})
		},
		"R7 a reservation is undone under its user": func(l *lab) {
			l.task.resources = volume(t)
			l.h.flushed(l.s, &slavecore.Resources{Total: l.cfg.Resources})
		},
		"R8 a launch beyond the limit": func(l *lab) {
			l.quota(1)
			l.wait(offerLife + time.Minute)
			l.h.told(l.r, l.stream(), l.launch("new"))
		},
		"R8 an offer before the slaves are back": func(l *lab) {
			q := &l.r.office.quotas
			q.held["*"], q.missed[l.s.sid], q.known = true, true, 2
			l.h.told(l.r, l.stream(), &message.Offers{Offers: []offer.Offer{{ID: "o", Role: "*"}}})
		},
		"R9 a role that the framework does not have": func(l *lab) {
			l.h.offered(l.f, []offer.Offer{{ID: "o", Role: "zoo"}})
		},
		"R10 a framework is forgotten": func(l *lab) {
			l.f.call(&message.Suppress{}) // and its program does not know
			l.wait(time.Second)
			l.f.user.(*program).goal++
			for l.failed == nil && l.now.Before(epoch.Add(time.Hour)) {
				l.wait(10 * time.Second)
				l.h.settling(1)
			}
		},
		"R11 a volume that is not there": func(l *lab) {
			l.anew("cpus:1")
			l.task.resources = volume(t)
			l.cfg.Resources = l.cfg.Resources.Add(volume(t))
			l.h.started(l.s, l.c, l.task.key)
		},
		"R11 a volume is destroyed under its user": func(l *lab) {
			l.task.resources = volume(t)
			l.s.runtime.makeVolumes(l.s, slavecore.MakeVolumes{Destroy: volume(t)})
		},
	}
}

func taskCases() map[string]func(*lab) {
	return map[string]func(*lab){
		"T1 an end that is not on disk": func(l *lab) {
			l.h.reported(l.s, &message.StatusUpdate{Framework: l.f.fid, Status: l.status(offer.Failed), Latest: offer.Failed})
		},
		"T1 an end that is never told": func(l *lab) {
			l.task.terminal, l.task.over, l.task.delivered = true, l.ns, 0
			l.wait(settledWithin + time.Second)
			l.h.settling(1)
		},
		"T1 no convergence": func(l *lab) { l.verdict() },
		"T2 out of order":   func(l *lab) { l.h.flushed(l.s, l.update(offer.Staging)) },
		"T2 two ends": func(l *lab) {
			p := l.f.user.(*program)
			p.status(l.f, *l.status(offer.Finished))
			p.status(l.f, *l.status(offer.Failed))
		},
		"T3 a gap": func(l *lab) {
			l.task.delivered = 0
			u := l.update(offer.Killing)
			l.h.flushed(l.s, u)
			l.h.delivered(l.f, *u.Status)
		},
		"T4 two in flight": func(l *lab) {
			l.task.acked = 0
			u := l.update(offer.Killing)
			l.h.flushed(l.s, u)
			l.h.reported(l.s, &message.StatusUpdate{Framework: l.f.fid, Status: u.Status, Latest: offer.Killing})
		},
		"T5 started twice": func(l *lab) { l.h.started(l.s, l.c, l.task.key) },
		"T5 started before it is on disk": func(l *lab) {
			l.anew("")
			l.s.disk.records = nil
			l.h.started(l.s, l.c, l.task.key)
		},
		"T5 an executor before it is on disk": func(l *lab) { l.h.executor(l.s, &container{id: "x", exec: &executor{}}) },
		"T5 launched on two slaves": func(l *lab) {
			l.h.flushed(l.o, &slavecore.Launched{Framework: &offer.Framework{ID: l.f.fid}, Task: &offer.Task{ID: l.task.id()}})
		},
		"T5 sent to a slave twice": func(l *lab) { l.h.told(l.r, l.stream(), l.launch(l.task.id())) },
		"T6 a word about what never was": func(l *lab) {
			l.f.user.(*program).status(l.f, offer.Status{TaskID: "ghost", State: offer.Running})
		},
		"T6 a task that no master knows": func(l *lab) {
			l.s.runtime.running = append(l.s.runtime.running, &record{key: string(l.f.fid) + "/ghost", framework: l.f.fid})
			l.wait(5 * time.Minute)
			l.h.settling(16)
		},
		"T6 an executor that no master knows": func(l *lab) {
			l.s.runtime.all = append(l.s.runtime.all, &container{id: "x", running: true, exec: &executor{framework: l.f.fid}})
			l.h.executors(l.s, nil)
		},
		"T6 an executor that does not run": func(l *lab) {
			l.h.executors(l.s, []mastercore.Executor{{Framework: l.f.fid, ID: "x"}})
		},
		"T7 a kill without effect": func(l *lab) {
			l.h.ordered(l.s, &message.Envelope{Reign: l.s.reign, Message: &message.Kill{Framework: l.f.fid, Task: l.task.id()}})
			l.wait(time.Minute)
		},
		"T8 what lives is buried": func(l *lab) {
			l.h.hearsay(l.f, offer.Status{TaskID: l.task.id(), State: offer.Dropped})
		},
		"T8 a question without an answer": func(l *lab) {
			l.h.asked(l.r, l.stream(), &message.Reconcile{Tasks: []message.TaskRef{{Task: l.task.id(), Slave: l.s.sid}}})
			l.wait(5 * time.Second)
		},
		"T9 it never ended": func(l *lab) { l.h.flushed(l.s, l.update(offer.Finished)) },
		"T10 acknowledged and sent again": func(l *lab) {
			l.task.durable = 1
			st := l.status(offer.Running)
			st.UUID = l.task.log[0].uuid
			l.h.reported(l.s, &message.StatusUpdate{Framework: l.f.fid, Status: st, Latest: offer.Running})
		},
		"T11 ended and running": func(l *lab) { l.h.flushed(l.s, l.update(offer.Failed)) },
	}
}

func registryCases() map[string]func(*lab) {
	fromMaster := func(cluster offer.ClusterID, reign uint64) slavecore.Event {
		return slavecore.FromMaster{Envelope: message.Envelope{Cluster: cluster, Reign: reign, Message: &message.Ping{}}}
	}
	deliver := []frameworkcore.Effect{frameworkcore.Deliver{Message: &message.Offers{}}}
	return map[string]func(*lab){
		"L1 an older reign on disk":   func(l *lab) { l.h.flushed(l.s, &slavecore.Reign{}) },
		"L1 an older reign is obeyed": func(l *lab) { l.h.obeyed(l.s, fromMaster("", 1), 2, []slavecore.Effect{slavecore.Kill{}}) },
		"L1 an older reign is heard": func(l *lab) {
			l.h.heeded(l.f, frameworkcore.FromMaster{Envelope: message.Envelope{Reign: 1}}, 2, deliver)
		},
		"L2 a slave that is not admitted": func(l *lab) {
			l.h.told(l.r, l.s.conn, &message.SlaveRegistered{ID: "s-99"})
		},
		"L2 a framework that is not admitted": func(l *lab) {
			l.h.told(l.r, l.stream(), &message.Subscribed{ID: "f-99"})
		},
		"L2 a drain that is not written": func(l *lab) {
			l.h.told(l.r, l.s.conn, &message.Drain{Config: &offer.Drain{}})
		},
		"L4 a gone slave is forgotten": func(l *lab) {
			l.h.gone[l.s.sid] = true
			l.h.led(l.r)
		},
		"L4 a retired framework is forgotten": func(l *lab) {
			l.h.retired[l.f.fid] = true
			l.h.led(l.r)
		},
		"L4 an answer to nobody": func(l *lab) { l.operator.answered(l.r, mastercore.Answer{Token: 99}) },
		"L4 a removal that is not written": func(l *lab) {
			l.operator.calls[99] = call{reign: l.r, op: message.Operate{Verb: message.VerbMarkGone, Slave: l.s.sid}}
			l.operator.answered(l.r, mastercore.Answer{Token: 99})
		},
		"L5 a replica differs": func(l *lab) {
			m := l.masters[(l.r.m.number+1)%3]
			m.catchUp()
			m.state.Apply(registry.Entry{Reign: l.r.number, Commands: []registry.Command{{Key: registry.Key{1}, Op: &registry.MarkGone{ID: l.s.sid}}}})
			l.h.agree()
		},
		"L5 a replica differed": func(l *lab) {
			m := l.r.m
			l.h.replicas[replicaEvery] = 1
			m.applied = replicaEvery
			l.h.applied(m)
		},
		"L6 a snapshot lacks something": func(l *lab) {
			l.h.transplanted(l.r.m, l.snapshot(registry.New().View()), l.r.m.state)
		},
		"L8 nobody leads": func(l *lab) {
			l.log.leader = nil
			l.checkBooks()
		},
		"L9 a stranger is welcomed": func(l *lab) {
			l.h.told(l.r, &link{client: &hostile{cluster: foreign}}, &message.SlaveRegistered{ID: l.s.sid})
		},
		"L9 a stranger is obeyed": func(l *lab) {
			l.h.foreignSlave(l.s, fromMaster(foreign, 9), []slavecore.Effect{slavecore.Checkpoint{}})
		},
		"L9 a stranger is heard": func(l *lab) {
			l.h.heeded(l.f, frameworkcore.FromMaster{Envelope: message.Envelope{Cluster: foreign}}, 0, deliver)
		},
		"L10 the registry goes back": func(l *lab) {
			seen := uint64(1 << 40)
			l.h.read("op", &seen, l.r.m.state.View())
		},
	}
}

func healthCases() map[string]func(*lab) {
	ill := func(l *lab, bad int) {
		l.c.vitals.health = &offer.HealthCheck{Check: offer.Check{Kind: offer.CheckTCP, Port: 80}, Grace: -1, Failures: 2}
		l.c.watched(l.s)
		l.wait(2 * time.Second)
		for range bad {
			l.h.looked(l.s, l.c, false)
		}
	}
	return map[string]func(*lab){
		"T12 a task is killed too early": func(l *lab) {
			ill(l, 1)
			l.h.diagnosed(l.s, &slavecore.Killed{Framework: l.f.fid, Task: l.task.id(), Reason: offer.ReasonTaskHealthCheckStatusUpdated})
		},
		"T12 a task is not killed": func(l *lab) {
			ill(l, 2)
			l.wait(time.Minute)
		},
		"T12 a task is called healthy": func(l *lab) {
			ill(l, 1)
			u, healthy := l.update(offer.Running), true
			u.Status.Reason, u.Status.Healthy = offer.ReasonTaskHealthCheckStatusUpdated, &healthy
			l.h.diagnosed(l.s, u)
		},
	}
}

func leaseCases() map[string]func(*lab) {
	over := func(l *lab) mastercore.Note {
		return mastercore.Note{Event: "lease over", Framework: l.f.fid, Task: l.task.id(), Slave: l.s.sid}
	}
	return map[string]func(*lab){
		"T13 what runs is gone": func(l *lab) { l.h.noted(over(l)) },
		"T13 what runs is told gone": func(l *lab) {
			l.h.toldGone(l.f, offer.Status{TaskID: l.task.id(), State: offer.Gone, Source: offer.SourceMaster, Reason: offer.ReasonLeaseExpired})
		},
		"T13 what is gone is started": func(l *lab) {
			l.task.running, l.task.starts = false, 0
			l.h.noted(over(l))
			l.h.started(l.s, l.c, l.task.key)
		},
	}
}

func slaveCases() map[string]func(*lab) {
	return map[string]func(*lab){
		"S1 what runs is killed at the start": func(l *lab) {
			l.c.born = l.s.life - 1
			l.s.perform(slavecore.Kill{Container: l.c.id})
		},
		"S2 what ran before the boot runs": func(l *lab) {
			l.s.boots++
			l.h.reported(l.s, &message.SlaveReregister{Tasks: []message.SlaveTask{{Framework: l.f.fid, Task: offer.Task{ID: l.task.id()}, Latest: offer.Running}}})
		},
		"S2 what is gone since the boot, on disk, runs": func(l *lab) {
			l.s.boots++
			l.s.begun, l.task.terminal = l.ns, true
			l.h.reported(l.s, &message.SlaveReregister{Tasks: []message.SlaveTask{{Framework: l.f.fid, Task: offer.Task{ID: l.task.id()}, Latest: offer.Running}}})
		},
		"S4 a slave's id comes twice": func(l *lab) {
			l.h.flushed(l.o, &slavecore.Registered{Slave: offer.Slave{ID: l.s.sid}})
		},
		"S4 a framework's id comes twice": func(l *lab) {
			l.g.fid = l.f.fid
			l.h.subscribed(l.g)
		},
		"S4 an offer's id comes twice": func(l *lab) {
			for range 2 {
				l.h.told(l.r, l.stream(), &message.Offers{Offers: []offer.Offer{{ID: "o", Role: "*"}}})
			}
		},
		"S4 a container's id comes twice": func(l *lab) { l.h.contained(l.o, l.c) },
		"S4 an update's id comes twice": func(l *lab) {
			u := l.update(offer.Killing)
			l.h.uuids[u.Status.UUID] = "other"
			l.h.flushed(l.s, u)
		},
		"S5 who is gone is welcomed": func(l *lab) {
			l.operator.ask(message.Operate{Verb: message.VerbMarkGone, Slave: l.o.sid})
			id := l.o.sid
			l.until(l.now.Add(20 * time.Millisecond))
			l.h.told(l.r, l.s.conn, &message.SlaveRegistered{ID: id})
		},
		"S5 who is not gone is turned away": func(l *lab) {
			l.o.stopped(offer.Refuse(offer.ReasonInvalidField, ""))
			l.wait(time.Millisecond)
		},
		"S7 a journal that nobody can read": func(l *lab) {
			cpus := resource.Must("cpus:99") // of which it has none, but what is reserved must be there
			cpus[0].Reservations = []resource.Reservation{{Type: resource.Dynamic, Role: "a"}}
			l.s.disk.records = append(l.s.disk.records, &slavecore.Resources{Total: cpus})
			l.h.prefixes(l.s)
		},
		"S7 a task that the journal does not know": func(l *lab) {
			l.s.disk.records = append(l.s.disk.records, l.s.disk.records[0])
			l.h.journalOf(l.s, l.s.core, map[taskKey]offer.UUID{}, 1)
		},
		"S7 a task is forgotten": func(l *lab) {
			core, err := slavecore.New(l.now, l.s.config(), nil)
			if err == nil {
				l.h.journalOf(l.s, core, map[taskKey]offer.UUID{{l.f.fid, l.task.id()}: {}}, 1)
			}
		},
	}
}

func frameworkCases() map[string]func(*lab) {
	return map[string]func(*lab){
		"F1 two streams": func(l *lab) {
			l.h.told(l.r, &link{w: l.World, client: l.f}, &message.Subscribed{ID: l.f.fid})
		},
		"F1 a replaced stream is used": func(l *lab) {
			old := l.stream()
			l.r.office.streams[l.f.fid] = &link{}
			l.h.told(l.r, old, &message.Rescind{})
		},
		"F1 another id":                func(l *lab) { l.f.take(&message.Subscribed{ID: "f-99"}) },
		"F1 its tasks are ended early": func(l *lab) { l.h.told(l.r, l.s.conn, &message.FrameworkShutdown{Framework: l.f.fid}) },
		"F1 it is ended by nobody":     func(l *lab) { l.f.end(offer.Refuse(offer.ReasonInternal, "")) },
		"F2 it is removed while it is there": func(l *lab) {
			l.propose(&registry.RemoveFramework{ID: l.f.fid})
		},
		"F2 it is removed too early": func(l *lab) {
			l.h.awaits(l.r, l.f.fid, 10*time.Minute)
			l.propose(&registry.RemoveFramework{ID: l.f.fid})
		},
		"F2 it is removed too late": func(l *lab) {
			l.h.awaits(l.r, l.f.fid, 10*time.Second)
			l.wait(time.Minute)
		},
		"F2 its time is not recorded": func(l *lab) {
			l.h.awaits(l.r, l.f.fid, 10*time.Minute)
			l.wait(2 * time.Minute)
			l.propose(&registry.CountDown{})
		},
		"F2 its time grows": func(l *lab) {
			for _, d := range []time.Duration{time.Minute, 2 * time.Minute} {
				l.h.committed(registry.Entry{Reign: l.log.opened, Commands: []registry.Command{
					{Op: &registry.CountDown{Frameworks: []registry.Remaining{{ID: l.f.fid, Remaining: d}}}}}})
			}
		},
		"F2 it was heard of just now": func(l *lab) { l.h.removed(l.f.fid) },
		"F4 another principal": func(l *lab) {
			l.h.told(l.r, &link{w: l.World, client: l.g}, &message.Subscribed{ID: l.f.fid})
		},
		"F4 a call without a subscription": func(l *lab) {
			l.h.asked(l.r, &link{w: l.World, client: l.f}, &message.KillTask{Task: l.task.id()})
			l.h.told(l.r, l.s.conn, &message.Kill{})
		},
		"F5 something is left": func(l *lab) {
			l.h.ordered(l.s, &message.Envelope{Reign: l.s.reign, Message: &message.FrameworkShutdown{Framework: l.f.fid}})
			l.wait(time.Minute)
		},
	}
}
