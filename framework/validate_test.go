package framework

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func TestWhatIsWrongWithATaskIsSaidBeforeItIsSent(t *testing.T) {
	task := func(change func(*offer.Task)) offer.Task {
		t := offer.Task{ID: "t", Resources: resource.Must("cpus:1"), Command: &offer.Command{Value: "true"}}
		change(&t)
		return t
	}
	shares := task(func(t *offer.Task) { t.ShareCgroups = true })
	named := task(func(t *offer.Task) { t.Hostname = "a_b" })
	custom := offer.LaunchGroup(shares)
	custom.Executor = &offer.Executor{ID: "x", Command: &offer.Command{Value: "true"}}
	for want, op := range map[string]offer.Operation{
		"shareCgroups: is set, but there is nobody to share with (allowed: for members of a group under the built-in executor)": offer.Launch(shares),
		`hostname: "a_b": the label "a_b" (allowed: 1 to 63 letters, digits and inner dashes)`:                                  offer.Launch(named),
	} {
		err := validateOperation("accept", &op)
		require.EqualError(t, err, offer.Refuse(offer.ReasonInvalidField, "accept.tasks[0]."+want).Error())
	}
	require.ErrorContains(t, validateOperation("accept", &custom), "accept.tasks[0].shareCgroups")
	op := offer.LaunchGroup(shares)
	require.NoError(t, validateOperation("accept", &op))
	op.Executor = &offer.Executor{ID: "pod", Default: true}
	require.NoError(t, validateOperation("accept", &op))
}
