package recording

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/internal/wire"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// load takes tasks through their lives in a core: launched, running, finished, each acknowledged; ten an accept.
type load struct {
	t      testing.TB
	core   *mastercore.Core
	rec    *Recorder
	now    time.Time
	open   []offer.Offer
	n      int
	events int
	out    []mastercore.Effect

	encoded []byte
}

func newLoad(t testing.TB, slaves int) *load {
	state := registry.New()
	apply := func(reign uint64, key int, op registry.Op) {
		r := state.Apply(registry.Entry{Reign: reign, Commands: []registry.Command{{Key: registry.Key{1, byte(key), byte(key >> 8), byte(key >> 16)}, Op: op}}})
		require.Nil(t, r[0].Err)
	}
	host := func(i int) offer.Slave {
		return offer.Slave{Hostname: fmt.Sprintf("host-%05d", i), Resources: resource.Must("cpus:32;mem:65536;ports:[31000-32000]")}
	}
	apply(0, 0, &registry.Open{Cluster: "c", Master: "m"})
	apply(1, 1, &registry.AdmitFramework{Framework: offer.Framework{Name: "bench", FailoverTimeout: time.Hour, Capabilities: offer.PartitionAware}})
	for i := range slaves {
		apply(1, i+2, &registry.AdmitSlave{Slave: host(i)})
	}
	l := &load{t: t, now: time.Unix(1_700_000_000, 0).UTC()}
	l.core = mastercore.New(l.now, mastercore.Config{Allocator: allocator.New(allocator.Config{Seed: 1}), Registry: state.View(), Seed: 1})
	l.step(mastercore.Received{Conn: 1, Message: &message.Subscribe{Framework: offer.Framework{ID: "f-1", Name: "bench", Roles: []string{"*"},
		FailoverTimeout: time.Hour, Capabilities: offer.PartitionAware}}})
	for i := range slaves {
		s := host(i)
		s.ID = offer.SlaveID(fmt.Sprintf("s-%d", i+1))
		l.step(mastercore.Received{Conn: mastercore.ConnID(i + 10), Message: &message.SlaveReregister{Slave: s, Last: true}})
	}
	return l
}

func (l *load) step(ev mastercore.Event) []mastercore.Effect {
	l.events++
	l.now = l.now.Add(10 * time.Microsecond)
	if rc, ok := ev.(mastercore.Received); ok { // not the recorder's work: it comes from the network so
		b, at := wire.OpenBatch(l.encoded[:0], "c", 1)
		b, err := wire.AppendMessage(b, rc.Message)
		require.NoError(l.t, err)
		wire.CloseBatch(b, at, 1)
		l.encoded = b
		if l.rec != nil {
			l.rec.Message(l.now, &Frame{Conn: rc.Conn, Bytes: b}, 0)
		}
	} else if l.rec != nil {
		l.rec.Event(l.now, ev)
	}
	l.out = l.core.Step(l.now, ev, l.out[:0])
	if l.rec != nil {
		l.rec.Effects(l.out)
	}
	for _, e := range l.out {
		if s, ok := e.(mastercore.Send); ok {
			if m, ok := s.Message.(*message.Offers); ok {
				l.open = append(l.open, m.Offers...)
			}
		}
	}
	return l.out
}

// lives takes ten tasks through their lives; end is whether they end.
func (l *load) lives(end bool) {
	const n = 10
	for len(l.open) == 0 {
		l.step(mastercore.Tick{})
	}
	o := l.open[0]
	l.open = l.open[1:]
	tasks := make([]offer.Task, n)
	for i := range tasks {
		id := offer.TaskID(fmt.Sprintf("task-%09d", l.n))
		l.n++
		tasks[i] = offer.Task{ID: id, Name: string(id), Resources: resource.Must("cpus:1;mem:512"), Command: &offer.Command{Value: "true"},
			Labels: []resource.Label{{Key: "app", Value: "bench"}, {Key: "task", Value: string(id)}}}
	}
	l.step(mastercore.Received{Conn: 1, Message: &message.Accept{Last: true, Offers: []offer.OfferID{o.ID}, Operations: []offer.Operation{offer.Launch(tasks...)},
		Filter: offer.Filter{Refuse: offer.NoFilter}}})
	num, _ := registry.SlaveNumber(o.SlaveID)
	conn := mastercore.ConnID(num - 1 + 10)
	states := []offer.State{offer.Running, offer.Finished}
	if !end {
		states = states[:1]
	}
	for _, st := range states {
		for i := range tasks {
			uuid := offer.UUID{byte(st), byte(l.n), byte(l.n >> 8), byte(l.n >> 16), byte(i), 1}
			l.step(mastercore.Received{Conn: conn, Message: &message.StatusUpdate{Framework: "f-1", Latest: st, Status: &offer.Status{TaskID: tasks[i].ID,
				SlaveID: o.SlaveID, State: st, UUID: uuid, Time: l.now, Source: offer.SourceExecutor}}})
			l.step(mastercore.Received{Conn: 1, Message: &message.Acknowledge{Slave: o.SlaveID, Task: tasks[i].ID, UUID: uuid}})
		}
	}
	if l.n%100 == 0 {
		l.step(mastercore.Tick{})
	}
}

// BenchmarkEvent is what recording costs the goroutine that steps the core, for each event of tasks' lives: without is the core alone, and
// the encoding that comes from the network.
func BenchmarkEvent(b *testing.B) {
	for _, recorded := range []bool{false, true} {
		b.Run(map[bool]string{false: "without", true: "with"}[recorded], func(b *testing.B) {
			l := newLoad(b, 1000)
			if recorded {
				var err error
				l.rec, err = Start(Config{Dir: b.TempDir(), Queue: 1 << 30}, l.now, l.core)
				require.NoError(b, err)
				defer l.rec.Close("over")
			}
			b.ReportAllocs()
			l.events = 0
			b.ResetTimer()
			for l.events < b.N {
				l.lives(true)
				if l.rec != nil {
					l.rec.Settled(l.now)
				}
			}
		})
	}
}

// BenchmarkCheckpoint is how long the beginning of a file holds up the goroutine that steps the core: 10,000 slaves, 100,000 tasks.
func BenchmarkCheckpoint(b *testing.B) {
	l := newLoad(b, 10_000)
	for l.n < 100_000 {
		l.lives(false)
	}
	images, err := Images()
	require.NoError(b, err)
	var out []byte
	b.ResetTimer()
	for range b.N {
		out, err = images.Encode(out[:0], l.core)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(len(out)), "bytes")
}
