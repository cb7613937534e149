package slave

import (
	"fmt"
	"testing"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// BenchmarkLaunch takes simulated tasks from launch to the acknowledgement of their end, with the journal flushed to the disk: two updates
// and five records a task. A few slaves share the master.
func BenchmarkLaunch(b *testing.B) {
	for _, slaves := range []int{1, 4} {
		b.Run(fmt.Sprintf("slaves=%d", slaves), func(b *testing.B) {
			network := memtransport.New()
			var masters []*scriptedMaster
			updates := make(chan *message.StatusUpdate, 100_000)
			for i := range slaves {
				address := fmt.Sprintf("master%d:5050", i)
				m := newMaster(b, network, address, 1)
				m.uncounted, m.updates = true, updates
				masters = append(masters, m)
				s := startSlave(b, Config{WorkDir: workDir(b), Masters: []string{address}, Network: network,
					Runner: &isolationtest.Runner{OnStart: func(*isolation.Spec) isolationtest.Script { return isolationtest.Script{Exit: &offer.Exit{}} }}})
				<-s.Ready()
				defer s.stop()
			}
			b.ResetTimer()
			const window, batch = 2000, 50
			sent, ended := 0, 0
			for ended < b.N {
				for sent < b.N && sent-ended < window {
					n := min(batch, b.N-sent)
					tasks := make([]offer.Task, n)
					for i := range tasks {
						tasks[i] = command(offer.TaskID(fmt.Sprint("t-", sent+i)), "true")
						tasks[i].Resources = resource.Must("cpus:0.001")
					}
					masters[sent/batch%slaves].send(launch(tasks...))
					sent += n
				}
				if (<-updates).Status.State.Terminal() {
					ended++
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
		})
	}
}
