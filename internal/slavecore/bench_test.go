package slavecore

import (
	"fmt"
	"testing"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// BenchmarkTask is the life of one task on a slave that holds a number of others: launched, running, finished, acknowledged.
func BenchmarkTask(b *testing.B) {
	for _, others := range []int{0, 10_000} {
		b.Run(fmt.Sprintf("others=%d", others), func(b *testing.B) {
			c, err := New(epoch, Config{Slave: offer.Slave{Resources: resource.Must("cpus:4")}, BootID: "b"}, nil)
			if err != nil {
				b.Fatal(err)
			}
			var out []Effect
			step := func(ev Event) {
				out = c.Step(epoch, ev, out[:0])
				for _, e := range out {
					if w, ok := e.(Checkpoint); ok {
						out = c.Step(epoch, Checkpointed{Token: w.Token}, out)
					}
				}
			}
			master := func(m message.Message) {
				step(FromMaster{Conn: 1, Envelope: message.Envelope{Cluster: "k", Reign: 1, Message: m}})
			}
			head := func() (u offer.UUID) {
				for _, e := range out {
					if s, ok := e.(Send); ok {
						u = s.Message.(*message.StatusUpdate).Status.UUID
					}
				}
				return u
			}
			rs := resource.Must("cpus:0.1;mem:32")
			launch := func(id offer.TaskID) (container string) {
				master(&message.Launch{Framework: offer.Framework{ID: "f", Name: "f"}, Role: "ops",
					Tasks: []offer.Task{{ID: id, Resources: rs, Function: "work"}}})
				for _, e := range out {
					if s, ok := e.(Start); ok {
						container = s.Container
					}
				}
				return container
			}
			step(Connected{Conn: 1})
			master(&message.SlaveRegistered{ID: "s"})
			for i := range others {
				step(Started{Container: launch(offer.TaskID(fmt.Sprint("other", i)))})
			}
			b.ReportAllocs()
			for b.Loop() {
				ct := launch("t")
				step(Started{Container: ct})
				master(&message.StatusAck{Framework: "f", Task: "t", UUID: head()})
				step(Exited{Container: ct, Known: true})
				master(&message.StatusAck{Framework: "f", Task: "t", UUID: head()})
				if c.tasks != others {
					b.Fatal("the task is still there")
				}
			}
		})
	}
}
