package main

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// labelsOf gives task n ten labels of ten bytes for key and value each. Five are the same on every task, five have a value of their own.
func labelsOf(n int) []resource.Label {
	labels := make([]resource.Label, 10)
	for i := range labels {
		labels[i] = resource.Label{Key: fmt.Sprintf("label-key%d", i), Value: fmt.Sprintf("repeated-%d", i)}
		if i%2 == 1 {
			labels[i] = resource.Label{Key: fmt.Sprintf("k%03d%06d", i, n%1_000_000), Value: fmt.Sprintf("v%d%08d", i, n%100_000_000)}
		}
	}
	return labels
}

// runningTask is a task with ten labels as its slave reports it, with the container that it runs in.
func runningTask(n int, framework offer.FrameworkID, slave offer.SlaveID, rs resource.Resources) message.SlaveTask {
	id := offer.TaskID(fmt.Sprintf("task-%08d", n))
	st := offer.Status{TaskID: id, SlaveID: slave, State: offer.Running, Source: offer.SourceSlave,
		Time: time.Date(2026, 1, 1, 0, 0, 0, n, time.UTC)}
	binary.BigEndian.PutUint64(st.UUID[8:], uint64(n)+1)
	st.Container = &offer.Container{ID: st.UUID.String(), PID: 10_000 + n%20_000,
		Sandbox: fmt.Sprintf("/var/lib/meros/slaves/%s/frameworks/%s/tasks/%s", slave, framework, id)}
	return message.SlaveTask{
		Framework: framework, Role: resource.AnyRole, Latest: offer.Running, Status: st,
		Task: offer.Task{ID: id, Name: fmt.Sprintf("name-%05d", n%1000), SlaveID: slave, Resources: rs,
			Command: &offer.Command{Value: "sleep 1000", Shell: true}, Labels: labelsOf(n)},
	}
}
