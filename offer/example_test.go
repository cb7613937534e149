package offer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// What a node will not carry out it answers with a reason, which survives the wire and every wrapping.
func ExampleRefusal() {
	err := fmt.Errorf("drain slave s-7: %w", offer.Refuse(offer.ReasonUnknownID, "no slave has this id"))

	fmt.Println(err)
	fmt.Println(errors.Is(err, &offer.Refusal{Reason: offer.ReasonUnknownID}))
	fmt.Println(errors.Is(err, &offer.Refusal{Reason: offer.ReasonNotLeader}))
	var refusal *offer.Refusal
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Reason)
	}
	// Output:
	// drain slave s-7: no slave has this id (REASON_UNKNOWN_ID)
	// true
	// false
	// REASON_UNKNOWN_ID
}

// A scheduler looks at three things in a status: has the task ended, well or badly, and may it still run somewhere?
func ExampleStatus() {
	for _, st := range []offer.Status{
		{TaskID: "t-1", State: offer.Finished, Exit: &offer.Exit{}},
		{TaskID: "t-2", State: offer.Failed, Exit: &offer.Exit{Signal: 9}, Reason: offer.ReasonContainerLimitationMemory},
		{TaskID: "t-3", State: offer.Unreachable, Reason: offer.ReasonSlaveRemoved},
	} {
		switch {
		case !st.State.Terminal():
			fmt.Println(st.TaskID, "may still run, or come back:", st.State)
		case st.State == offer.Finished:
			fmt.Println(st.TaskID, "is done:", st.Exit)
		default:
			fmt.Println(st.TaskID, "is to be run again:", st.Exit, st.Reason)
		}
	}
	// Output:
	// t-1 is done: exited with status 0
	// t-2 is to be run again: ended by signal 9 REASON_CONTAINER_LIMITATION_MEMORY
	// t-3 may still run, or come back: TASK_UNREACHABLE
}

// A framework that knows nothing of partitions is told the older state.
func ExampleState_ForFramework() {
	fmt.Println(offer.Unreachable.ForFramework(offer.PartitionAware), offer.Unreachable.ForFramework(0))
	fmt.Println(offer.Killing.ForFramework(offer.KillingState), offer.Killing.ForFramework(0))
	// Output:
	// TASK_UNREACHABLE TASK_LOST
	// TASK_KILLING TASK_RUNNING
}

// Attributes are what a scheduler places by.
func ExampleParseAttributes() {
	attributes, err := offer.ParseAttributes("rack:r7; disks:3.5; ports:[8000-8010]")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, a := range attributes {
		if a.Name == "rack" {
			fmt.Println("in", a.Text)
		}
	}
	_, err = offer.ParseAttributes("rack")
	fmt.Println(err)
	// Output:
	// in r7
	// attribute "rack": want NAME:VALUE
}

// A framework that says which slaves it wants is not bothered with the others: here those in rack r7 or r8, or any with a fast disk.
func ExampleConstraint() {
	groups := []offer.ConstraintGroup{
		{{Attribute: "rack", Op: offer.Matches, Value: "r[78]"}},
		{{Attribute: "disk", Op: offer.Equals, Value: "nvme"}},
	}
	rules, err := offer.CompileConstraints(groups)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{"rack:r7;disk:hdd", "rack:r9;disk:nvme", "rack:r77"} {
		attributes, _ := offer.ParseAttributes(text)
		fmt.Println(rules.Pass(&offer.Slave{Attributes: attributes}), text)
	}
	_, err = offer.CompileConstraints([]offer.ConstraintGroup{{{Attribute: "rack", Op: offer.Matches, Value: "("}}})
	fmt.Println(err)
	// Output:
	// true rack:r7;disk:hdd
	// true rack:r9;disk:nvme
	// false rack:r77
	// group 0: constraint value "(": error parsing regexp: missing closing ): `(`
}

// The zero filter is the default one.
func ExampleFilter() {
	fmt.Println(offer.Filter{}.Duration(), offer.Filter{Refuse: time.Hour}.Duration(), offer.Filter{Refuse: offer.NoFilter}.Duration())
	// Output: 5s 1h0m0s 0s
}

// Operations are plain values, and so are their texts on the way to a log or a store.
func ExampleReserve() {
	disk, err := resource.Must("disk:64").Reserve(resource.Reservation{Type: resource.Dynamic, Role: "db"})
	if err != nil {
		fmt.Println(err)
		return
	}
	op := offer.Reserve(disk)
	text, _ := json.Marshal(op.Resources)
	fmt.Println(op.Kind, op.Resources)
	fmt.Println(string(text))
	// Output:
	// RESERVE disk{dynamic db}:64
	// [{"name":"disk","type":"SCALAR","scalar":{"value":64},"reservations":[{"type":"DYNAMIC","role":"db"}]}]
}
