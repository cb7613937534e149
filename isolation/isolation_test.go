package isolation_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAChainOfFakesKeepsTheContract(t *testing.T) {
	isolationtest.TestIsolator(t, func(*testing.T) isolation.Isolator {
		return isolation.Chain{&isolationtest.Isolator{ID: "a"}, &isolationtest.Isolator{ID: "b"}}
	}, func(*testing.T) int { return 4711 })
}

func TestAChainGoesForwardAndUnwinds(t *testing.T) {
	ctx := context.Background()
	log := &isolationtest.Log{}
	broken := errors.New("broken")
	fake := func(id string) *isolationtest.Isolator {
		return &isolationtest.Isolator{ID: id, Log: log, Fail: map[string]error{}}
	}
	a, b, c := fake("a"), fake("b"), fake("c")
	chain := isolation.Chain{a, b, c}
	require.NoError(t, chain.Validate())
	spec := isolationtest.Spec(t, "x", "true")
	var plan isolation.Plan
	require.NoError(t, chain.Prepare(ctx, spec, &plan))
	require.Equal(t, "x", plan.Getenv("FAKE_c"))
	require.NoError(t, chain.Attach(ctx, "x", 1))
	require.NoError(t, chain.Update(ctx, "x", nil, nil))
	require.NoError(t, chain.Cleanup(ctx, "x"))
	require.Equal(t, []string{"a prepare x", "b prepare x", "c prepare x", "a attach x", "b attach x", "c attach x", "a update x", "b update x",
		"c update x", "c cleanup x", "b cleanup x", "a cleanup x"}, log.Take())

	b.Fail["prepare"] = broken
	a.Fail["cleanup"] = errors.New("stuck")
	err := chain.Prepare(ctx, spec, &plan)
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "isolator b: broken")
	require.ErrorContains(t, err, "isolator a: clean up: stuck")
	require.Equal(t, []string{"a prepare x", "b prepare x", "b cleanup x", "a cleanup x"}, log.Take(), "c was never asked")

	a.Fail["recover"] = broken
	require.ErrorIs(t, chain.Recover(ctx, nil), broken)
	c.Fail["usage"] = broken
	_, err = chain.Usage(ctx, "x")
	require.ErrorContains(t, err, "isolator c: usage: broken")
}

func TestAChainKillsWithEveryKiller(t *testing.T) {
	log := &isolationtest.Log{}
	a := &isolationtest.Isolator{ID: "a", Log: log, Fail: map[string]error{"kill": errors.New("2 processes are left")}}
	err := isolation.Chain{a, &isolationtest.Isolator{ID: "b", Log: log}}.Kill(context.Background(), "x")
	require.EqualError(t, err, "isolator a: kill: 2 processes are left")
	require.Equal(t, []string{"a kill x", "b kill x"}, log.Take())
}

func TestAChainRefusesWhatNoIsolatorEnforces(t *testing.T) {
	ctx, log := context.Background(), &isolationtest.Log{}
	a := &isolationtest.Isolator{ID: "a", Log: log, Missing: []string{"no limit on swap"}}
	chain := isolation.Chain{a}
	require.Equal(t, []string{"a: no limit on swap"}, chain.Lacks())
	spec := isolationtest.Spec(t, "x", "true")
	spec.Limits = []offer.Limit{{Name: "cpus", Amount: offer.NoLimit}}
	err := chain.Prepare(ctx, spec, &isolation.Plan{})
	require.ErrorIs(t, err, &offer.Refusal{Reason: offer.ReasonUnsupported})
	require.ErrorContains(t, err, "asks for limits above the request")
	require.Empty(t, log.Take(), "nothing was made")
	a.Gives = []isolation.Feature{isolation.FeatureLimits}
	require.NoError(t, chain.Prepare(ctx, spec, &isolation.Plan{}))
}

func TestAChainTellsTheFirstLimitation(t *testing.T) {
	a, b := &isolationtest.Isolator{ID: "a"}, &isolationtest.Isolator{ID: "b", Fail: map[string]error{"watch": errors.New("cannot watch")}}
	c := &isolationtest.Isolator{ID: "c"}
	chain := isolation.Chain{a, b, c}
	require.True(t, chain.Watches())
	c.Limit("x", isolation.Limitation{Reason: offer.ReasonContainerLimitationDisk, Message: "full"})
	l, err := chain.Watch(context.Background(), "x")
	require.NoError(t, err)
	require.Equal(t, "full", l.Message)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = chain.Watch(ctx, "y")
	require.ErrorIs(t, err, context.Canceled)
}

func TestAChainWithTwoOfAKindIsRefused(t *testing.T) {
	require.ErrorContains(t, isolation.Chain{&isolationtest.Isolator{}, &isolationtest.Isolator{}}.Validate(), `isolation[1]: a second isolator named "fake"`)
	require.ErrorContains(t, isolation.Chain{nil}.Validate(), "isolation[0]: is nil")
}

func TestWhatNoIsolatorGivesIsRefused(t *testing.T) {
	chain := isolation.Chain{&isolationtest.Isolator{}}
	for want, spec := range map[string]*isolation.Spec{
		"URIs to fetch": {Command: &offer.Command{URIs: []offer.URI{{Value: "http://h/a"}}}},
		"an image":      {Image: &offer.Image{Reference: "h/a:1"}},
	} {
		var refusal *offer.Refusal
		require.ErrorAs(t, chain.Prepare(context.Background(), spec, &isolation.Plan{}), &refusal)
		require.Equal(t, offer.ReasonUnsupported, refusal.Reason)
		require.ErrorContains(t, refusal, want)
	}
	// An image is of use only to who can make it the root: a task is not started on the machine's instead.
	err := isolation.Chain{&isolationtest.Isolator{Gives: []isolation.Feature{isolation.FeatureImage}}}.Prepare(context.Background(), &isolation.Spec{Image: &offer.Image{Reference: "h/a:1"}}, &isolation.Plan{})
	require.ErrorContains(t, err, "a root folder of its own")
}
