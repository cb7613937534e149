package slavecore

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A thousand tasks that a slave starts, or takes over, in one instant are looked at one after the other.
func TestTasksThatStartTogetherAreNotProbedTogether(t *testing.T) {
	const tasks = 1000
	c, err := New(epoch, Config{Slave: offer.Slave{Resources: resource.Must("cpus:4")}, BootID: "b"}, nil)
	require.NoError(t, err)
	now := epoch
	step := func(ev Event) (probes []uint64) {
		var containers []string
		out := c.Step(now, ev, nil)
		for i := 0; i < len(out); i++ {
			switch e := out[i].(type) {
			case Checkpoint:
				out = c.Step(now, Checkpointed{Token: e.Token}, out)
			case Start:
				containers = append(containers, e.Container)
			case Probe:
				probes = append(probes, e.Probe)
			}
		}
		for _, ct := range containers {
			for _, e := range c.Step(now, Started{Container: ct, PID: 1}, nil) {
				_, is := e.(Probe)
				require.False(t, is, "it has just begun")
			}
		}
		return probes
	}
	m := &message.Launch{Framework: offer.Framework{ID: "f", Name: "f"}, Role: "ops"}
	check := offer.Check{Kind: offer.CheckTCP, Port: 80, Interval: 10 * time.Second}
	for i := range tasks {
		m.Tasks = append(m.Tasks, offer.Task{ID: offer.TaskID(fmt.Sprint("t", i)), Resources: resource.Must("cpus:0.001"), Function: "work",
			Health: &offer.HealthCheck{Check: check}})
	}
	step(Connected{Conn: 1})
	step(FromMaster{Conn: 1, Envelope: message.Envelope{Cluster: "k", Reign: 1, Message: &message.SlaveRegistered{ID: "s"}}})
	step(FromMaster{Conn: 1, Envelope: message.Envelope{Cluster: "k", Reign: 1, Message: m}})

	begun := map[time.Duration]int{} // how many probes in each tenth of a second
	total := 0
	for end := epoch.Add(40 * time.Second); c.Deadline().Before(end); {
		if at := c.Deadline(); at.After(now) {
			now = at
		}
		for todo := step(Tick{}); len(todo) > 0; {
			probe := todo[0]
			begun[now.Sub(epoch)/(100*time.Millisecond)]++
			total++
			todo = append(todo[1:], step(Probed{Probe: probe, Result: offer.CheckResult{Known: true, Succeeded: true}})...)
		}
	}
	require.NoError(t, c.Check())
	require.InDelta(t, 2.5*tasks, total, 0.6*tasks, "each has been looked at two or three times")
	most := 0
	for _, n := range begun {
		most = max(most, n)
	}
	require.Less(t, most, 4*tasks/50, "of %d tasks in a tenth of a second", tasks)
	require.Positive(t, most)
}
