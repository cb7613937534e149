package mastercore

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// text prints all that a view can tell of tasks.
func text(v *View) string {
	h := fnv.New64()
	for t := range v.Tasks() {
		fmt.Fprintf(h, "%+v %v\n", t.Labels, t.Status.State)
	}
	return fmt.Sprintf("%s%x", v.Describe(), h.Sum64())
}

// TestAViewNeverChanges reads views in other goroutines while the core goes on; run it with -race.
func TestAViewNeverChanges(t *testing.T) {
	f := newFleet(t, 50)
	f.subscribe()
	for i := range 50 {
		f.step(Received{Conn: ConnID(i + 10), Message: f.home(i, 20)})
	}
	view := f.core.View()
	want := text(view)
	done, others := make(chan string), make(chan string)
	go func() { done <- text(view) }()
	for i := range 50 {
		for j := range 20 {
			id := offer.TaskID(fmt.Sprintf("task-%06d", i*20+j))
			uuid := offer.UUID{2, byte(i), byte(j)}
			f.step(Received{Conn: ConnID(i + 10), Message: &message.StatusUpdate{Framework: "f-1", Latest: offer.Finished,
				Status: &offer.Status{TaskID: id, State: offer.Finished, UUID: uuid}}})
			f.step(Received{Conn: 1, Message: &message.Acknowledge{Slave: offer.SlaveID(fmt.Sprintf("s-%d", i+1)), Task: id, UUID: uuid}})
		}
		f.step(Disconnected{Conn: ConnID(i + 10)})
		f.step(Tick{})
		if later := f.core.View(); i%10 == 0 {
			go func() { others <- text(later) }()
		}
	}
	require.Equal(t, want, <-done)
	for range 5 {
		require.NotEqual(t, want, <-others)
	}
	require.Equal(t, want, text(view))
	ended := 0
	for task := range f.core.View().TasksOf("f-1") {
		require.True(t, task.Ended)
		require.Len(t, task.Labels, 10)
		ended++
	}
	require.Equal(t, 1000, ended, "the last thousand are remembered")
}

// TestTasksAreUnpackedAsTheyWerePacked compares random descriptions, added and dropped in any order, with what was put in.
func TestTasksAreUnpackedAsTheyWerePacked(t *testing.T) {
	table := newTaskTable(1)
	r := rand.New(rand.NewPCG(1, 1))
	type kept struct {
		d    offer.Task
		exec offer.ExecutorID
	}
	live := map[uint32]kept{}
	var slots []uint32
	word := func(n int) string { return fmt.Sprintf("%0*d", 1+r.IntN(12), r.IntN(n)) }
	for step := range 20000 {
		if len(slots) > 0 && r.IntN(5) < 2 {
			i := r.IntN(len(slots))
			slot := slots[i]
			slots = slices.Delete(slots, i, i+1)
			delete(live, slot)
			table.leave(slot)
			table.drop(slot)
			continue
		}
		k := kept{d: offer.Task{ID: offer.TaskID(fmt.Sprint("t", step)), Name: word(100), Resources: resource.Must(fmt.Sprintf("cpus:%d", 1+r.IntN(30)))},
			exec: offer.ExecutorID(word(3))}
		if r.IntN(2) == 0 {
			k.d.Name = string(k.d.ID)
		}
		for range r.IntN(5) {
			k.d.Labels = append(k.d.Labels, resource.Label{Key: word(20), Value: word(1000)})
		}
		slot := table.pack(uint32(1+r.IntN(3)), 1, "role", &k.d, k.exec)
		table.enter(slot)
		live[slot] = k
		slots = append(slots, slot)
	}
	require.Len(t, live, table.indexed)
	for slot, k := range live {
		rec := table.records.get(slot)
		require.Equal(t, slot, table.find(rec.framework, k.d.ID))
		require.Zero(t, table.find(rec.framework+1, k.d.ID))
		id, name, exec, labels := rec.describe(&table.labels.entries)
		require.Equal(t, k, kept{offer.Task{ID: id, Name: name, Resources: table.resources.of(rec.resources), Labels: labels}, exec})
		require.Equal(t, k.exec, rec.executor())
	}
	for _, slot := range slots {
		table.leave(slot)
		table.drop(slot)
	}
	require.Zero(t, table.indexed)
	require.Empty(t, table.labels.byKey)
	require.Empty(t, table.resources.byKey)
	require.Empty(t, table.roles.byKey)
}

func TestAStatusIsToldAsItWasTakenOver(t *testing.T) {
	healthy := true
	for _, st := range []offer.Status{
		{State: offer.Running},
		{State: offer.Running, Message: "m", Healthy: &healthy, UUID: offer.UUID{1}, Source: offer.SourceExecutor, Time: epoch.Add(1)},
		{State: offer.Failed, Container: &offer.Container{ID: "c-1"}, Exit: &offer.Exit{Code: 3}, Reason: offer.ReasonContainerLaunchFailed},
		{State: offer.Killed, Container: &offer.Container{ID: offer.UUID{0xab, 15: 1}.String()}, Message: "why", Exit: &offer.Exit{Signal: 9}},
		{State: offer.Running, Check: &offer.CheckResult{Kind: offer.CheckCommand}},
		{State: offer.Running, Check: &offer.CheckResult{Kind: offer.CheckHTTP, Known: true, Status: 404}, Message: "\x02m"},
		{State: offer.Running, Check: &offer.CheckResult{Kind: offer.CheckTCP, Known: true, Succeeded: true}, Container: &offer.Container{ID: "c-1"}},
		{State: offer.Running, Check: &offer.CheckResult{Kind: 255, Known: true, ExitCode: -1 << 63, Status: 1<<63 - 1}, Message: "of a strange executor"},
		{State: offer.Killed, Container: &offer.Container{ID: "AB000000-0000-0000-0000-000000000001"}, Message: "upper case is kept"},
	} {
		table := newTaskTable(1)
		task := table.records.mut(table.pack(1, 2, "*", &offer.Task{ID: "t"}, "x"))
		task.setStatus(&st, st.State)
		st.TaskID, st.SlaveID, st.ExecutorID = "t", "s-2", "x"
		require.Equal(t, st, task.status("s-2"))
	}
}
