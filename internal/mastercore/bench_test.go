package mastercore

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// fleet is a core with many slaves, as a new leader finds them: on record, not connected.
type fleet struct {
	core *Core
	now  time.Time
	out  []Effect
	n    int
}

func newFleet(t testing.TB, n int) *fleet {
	state := registry.New()
	apply := func(reign uint64, op registry.Op, key int) {
		r := state.Apply(registry.Entry{Reign: reign, Commands: []registry.Command{{Key: registry.Key{1, byte(key), byte(key >> 8), byte(key >> 16)}, Op: op}}})
		require.Nil(t, r[0].Err)
	}
	apply(0, &registry.Open{Cluster: "c", Master: "m"}, 0)
	apply(1, &registry.AdmitFramework{Framework: offer.Framework{Name: "bench", FailoverTimeout: time.Hour, Capabilities: offer.PartitionAware}}, 1)
	for i := range n {
		apply(1, &registry.AdmitSlave{Slave: fleetSlave(i)}, i+2)
	}
	f := &fleet{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), n: n}
	f.core = New(f.now, Config{Allocator: allocator.New(allocator.Config{}), Registry: state.View()})
	return f
}

func fleetSlave(i int) offer.Slave {
	return offer.Slave{Hostname: fmt.Sprintf("host-%05d", i), Address: fmt.Sprintf("10.0.%d.%d:5051", i/250, i%250), Resources: resource.Must("cpus:32;mem:65536")}
}

func (f *fleet) step(ev Event) []Effect {
	f.out = f.core.Step(f.now, ev, f.out[:0])
	return f.out
}

func (f *fleet) subscribe() {
	f.step(Received{Conn: 1, Message: &message.Subscribe{Framework: offer.Framework{ID: "f-1", Name: "bench", Roles: []string{"*"}, FailoverTimeout: time.Hour,
		Capabilities: offer.PartitionAware}}})
}

// home returns the message of a slave that comes back with tasks of ten labels of 10 + 10 bytes, of which half repeat across tasks.
func (f *fleet) home(i, tasks int) *message.SlaveReregister {
	s := fleetSlave(i)
	s.ID = offer.SlaveID(fmt.Sprintf("s-%d", i+1))
	m := &message.SlaveReregister{Slave: s, Last: true, Tasks: make([]message.SlaveTask, tasks)}
	for j := range m.Tasks {
		id := offer.TaskID(fmt.Sprintf("task-%06d", i*tasks+j))
		labels := make([]resource.Label, 10)
		for l := range labels {
			if l%2 == 0 {
				labels[l] = resource.Label{Key: fmt.Sprintf("key-%06d", l), Value: fmt.Sprintf("val-%06d", l)}
			} else {
				labels[l] = resource.Label{Key: fmt.Sprintf("key-%06d", l), Value: fmt.Sprintf("v%d%08d", l, i*tasks+j)}
			}
		}
		m.Tasks[j] = message.SlaveTask{Framework: "f-1", Role: "*", Latest: offer.Running,
			Task:   offer.Task{ID: id, Name: string(id), Resources: resource.Must("cpus:1;mem:512"), Command: &offer.Command{Value: "sleep 1000"}, Labels: labels},
			Status: offer.Status{TaskID: id, State: offer.Running, Source: offer.SourceExecutor, UUID: offer.UUID{1, byte(i), byte(j)}, Time: f.now}}
	}
	return m
}

func BenchmarkReregister(b *testing.B) {
	const slaves, tasks = 10000, 10
	for range b.N {
		b.StopTimer()
		f := newFleet(b, slaves)
		f.subscribe()
		msgs := make([]*message.SlaveReregister, slaves)
		for i := range msgs {
			msgs[i] = f.home(i, tasks)
		}
		runtime.GC()
		b.StartTimer()
		for i, m := range msgs {
			f.step(Received{Conn: ConnID(i + 10), Message: m})
			if i%100 == 99 {
				f.step(Tick{})
			}
		}
		b.StopTimer()
		require.Equal(b, slaves*tasks, f.core.frameworks.get(1).tasks.count)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(slaves*tasks), "ns/task")
}

// BenchmarkLaunch takes a task through its life in the core: launched, running, finished, each acknowledged. Ten tasks an accept.
func BenchmarkLaunch(b *testing.B) {
	const slaves, perAccept = 1000, 10
	f := newFleet(b, slaves)
	f.subscribe()
	for i := range slaves {
		f.step(Received{Conn: ConnID(i + 10), Message: f.home(i, 0)})
	}
	var open []offer.Offer
	take := func() {
		for _, e := range f.step(Tick{}) {
			if s, ok := e.(Send); ok {
				if m, ok := s.Message.(*message.Offers); ok {
					open = append(open, m.Offers...)
				}
			}
		}
	}
	take()
	labels := f.home(1, 1).Tasks[0].Task.Labels
	need := resource.Must("cpus:1;mem:512")
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += perAccept {
		if len(open) == 0 {
			take()
		}
		o := open[0]
		open = open[1:]
		tasks := make([]offer.Task, perAccept)
		for i := range tasks {
			tasks[i] = offer.Task{ID: offer.TaskID("task-" + utoa(uint64(n+i))), Resources: need, Command: &offer.Command{Value: "true"}, Labels: labels}
		}
		f.step(Received{Conn: 1, Message: &message.Accept{Last: true, Offers: []offer.OfferID{o.ID}, Operations: []offer.Operation{offer.Launch(tasks...)},
			Filter: offer.Filter{Refuse: offer.NoFilter}}})
		num, _ := registry.SlaveNumber(o.SlaveID)
		conn := ConnID(num - 1 + 10)
		for _, st := range []offer.State{offer.Running, offer.Finished} {
			for i := range tasks {
				id := offer.UUID{byte(st), byte(n), byte(n >> 8), byte(n >> 16), byte(i), 1}
				f.step(Received{Conn: conn, Message: &message.StatusUpdate{Framework: "f-1", Latest: st, Status: &offer.Status{TaskID: tasks[i].ID, State: st, UUID: id}}})
				f.step(Received{Conn: 1, Message: &message.Acknowledge{Slave: o.SlaveID, Task: tasks[i].ID, UUID: id}})
			}
		}
		take()
	}
}

// TestMemoryOfATask holds the leader's memory to its bound: 100,000 running tasks of ten labels, at most 350 bytes of heap each, all
// told but for the slaves themselves.
func TestMemoryOfATask(t *testing.T) {
	const slaves, tasks = 1000, 100
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	f := newFleet(t, slaves)
	f.subscribe()
	for i := range slaves {
		f.step(Received{Conn: ConnID(i + 10), Message: f.home(i, 0)})
		f.step(Disconnected{Conn: ConnID(i + 10)})
	}
	before := heap()
	for i := range slaves {
		f.step(Received{Conn: ConnID(i + 10000), Message: f.home(i, tasks)})
	}
	f.step(Tick{})
	f.out = nil
	per := (heap() - before) / (slaves * tasks)
	t.Logf("%d bytes a task", per)
	require.LessOrEqual(t, per, int64(350))
	require.NoError(t, f.core.Check())
	runtime.KeepAlive(f)
}
