package wire

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func benchMessages() map[string]message.Message {
	task := offer.Task{ID: "task-000123", Name: "web", SlaveID: "0f2c-s-17", Command: &offer.Command{Value: "sleep 1000", Shell: true},
		Resources: resource.Must("cpus:0.5;mem:128;ports:[31000-31001]")}
	for i := range 10 {
		task.Labels = append(task.Labels, resource.Label{Key: fmt.Sprintf("label-%d", i), Value: fmt.Sprintf("value-%d", i)})
	}
	status := offer.Status{TaskID: task.ID, SlaveID: task.SlaveID, State: offer.Running, Source: offer.SourceSlave,
		Time: time.Unix(1_700_000_000, 5), UUID: offer.UUID{1, 2, 3}}
	return map[string]message.Message{
		"small":      &message.Acknowledge{Slave: task.SlaveID, Task: task.ID, UUID: offer.UUID{1, 2, 3}},
		"status":     &message.StatusUpdate{Framework: "0f2c-f-1", Status: &status, Latest: offer.Running},
		"launch":     &message.Launch{Framework: offer.Framework{ID: "0f2c-f-1", Name: "web"}, Role: "web", Tasks: []offer.Task{task}},
		"slave-task": &message.SlaveReregister{Tasks: []message.SlaveTask{{Framework: "0f2c-f-1", Role: "web", Task: task, Latest: offer.Running, Status: status}}},
	}
}

func BenchmarkMessage(b *testing.B) {
	for name, m := range benchMessages() {
		wire, err := AppendMessage(nil, m)
		require.NoError(b, err)
		b.Run(name+"/encode", func(b *testing.B) {
			b.ReportAllocs()
			b.ReportMetric(float64(len(wire)), "wire-B")
			buf := make([]byte, 0, 2*len(wire))
			for b.Loop() {
				if _, err := AppendMessage(buf, m); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/decode", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := DecodeMessage(wire); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/scan", func(b *testing.B) {
			for b.Loop() {
				if err := Scan(wire, Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
