package frameworktest_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/framework/frameworktest"
	"github.com/meros-project/meros/offer"
)

// failure runs a scheduler and returns what fails the test.
func failure(t *testing.T, cfg frameworktest.Config, scheduler framework.Scheduler, expect ...frameworktest.Expectation) string {
	t.Helper()
	r := &recorder{TB: t}
	if cfg.Faults == 0 {
		cfg.Faults = frameworktest.Calm
	}
	cfg.Seed, cfg.Patience = 3, 10*time.Minute
	require.PanicsWithValue(t, r, func() {
		frameworktest.Run(r, cfg, func() framework.Scheduler { return scheduler }, expect...)
	})
	require.Contains(t, r.failed, "frameworktest: seed 3: ")
	require.Contains(t, r.failed, "\nrun it again: go test -run '^"+t.Name()+"$' ")
	first, _, _ := strings.Cut(strings.TrimPrefix(r.failed, "frameworktest: seed 3: "), "\nrun it again")
	return first
}

func TestAllFinishedAndFinishedFailWhereTasksDoNot(t *testing.T) {
	bad := frameworktest.Config{Runs: func(*rand.Rand, *offer.Task) (time.Duration, offer.Exit) { return time.Second, offer.Exit{Code: 1} }}
	one := &one{}
	require.Equal(t, "AllFinished: task t0 is TASK_FAILED", failure(t, bad, one, frameworktest.AllFinished()))
	one.launched = 0
	require.Equal(t, "Finished(1): 0 have finished; by state map[TASK_FAILED:1]", failure(t, bad, one, frameworktest.Finished(1)))
	require.Equal(t, "AllFinished: nothing was launched", failure(t, bad, framework.Funcs{}, frameworktest.AllFinished()))
}

// one launches the same task up to times times, and Again once it was told how it ended; without, at the next offer.
type one struct {
	launched, times int
	again           func(offer.TaskID) offer.TaskID
	id              offer.TaskID
}

func (o *one) Subscribed(context.Context, *framework.Session) error { return nil }

func (o *one) Offers(_ context.Context, s *framework.Session, offers []offer.Offer) error {
	if o.launched > 0 && o.id == "" {
		return s.Decline(framework.IDs(offers))
	}
	if o.id == "" {
		o.id = "t0"
	}
	task := offer.Task{ID: o.id, Resources: each, Command: &offer.Command{Value: "true", Shell: true}}
	o.id = ""
	o.launched++
	if err := s.Decline(framework.IDs(offers[1:])); err != nil {
		return err
	}
	return s.Launch(offers[0], task)
}

func (o *one) Status(_ context.Context, s *framework.Session, st offer.Status) error {
	if st.State == offer.Finished && o.launched < o.times {
		o.id = o.again(st.TaskID)
		return s.Revive()
	}
	return nil
}

func TestNoDuplicateFailsWhereAnIDIsStartedTwice(t *testing.T) {
	same := func(id offer.TaskID) offer.TaskID { return id }
	require.Equal(t, "NoDuplicate: task t0 was started 2 times", failure(t, frameworktest.Config{}, &one{times: 2, again: same}, frameworktest.NoDuplicate()))
	require.Equal(t, "NoDuplicateOf: job t was done 2 times by task t0", failure(t, frameworktest.Config{}, &one{times: 2, again: same},
		frameworktest.NoDuplicateOf(func(offer.TaskID) string { return "t" })))
}

func TestNoDuplicateOfFailsWhereAJobIsDoneTwice(t *testing.T) {
	other := func(id offer.TaskID) offer.TaskID { return id + "x" }
	job := func(id offer.TaskID) string { return strings.TrimRight(string(id), "x") }
	frameworktest.Run(t, frameworktest.Config{Faults: frameworktest.Calm}, func() framework.Scheduler { return &one{times: 2, again: other} },
		frameworktest.NoDuplicate(), frameworktest.Finished(2))
	require.Equal(t, "NoDuplicateOf: job t0 was done by task t0 and by task t0x", failure(t, frameworktest.Config{}, &one{times: 2, again: other},
		frameworktest.NoDuplicateOf(job)))
}

func TestStartedWithinFailsWhereAStartTakesLong(t *testing.T) {
	got := failure(t, frameworktest.Config{}, newBatch(3), frameworktest.StartedWithin(time.Millisecond))
	require.Regexp(t, `^StartedWithin\(1ms\): task t\d took [\d.]+ms to start; and 2 more of 3$`, got)

	r := &recorder{TB: t} // nobody can start it: its slave is cut off when it is launched
	require.PanicsWithValue(t, r, func() {
		c := frameworktest.New(r, frameworktest.Config{Seed: 3, Slaves: 1})
		f := c.Start(framework.Config{Name: "one"}, cutting{&one{}, c})
		c.Run(50 * time.Second)
		f.Expect(frameworktest.StartedWithin(time.Minute), frameworktest.Finished(0))
		c.Run(50 * time.Second)
		f.Expect(frameworktest.StartedWithin(time.Minute))
	})
	require.Regexp(t, `seed 3: StartedWithin\(1m0s\): task t0 has not started for 1m`, r.failed)
}

// cutting cuts the slave off before it launches something there.
type cutting struct {
	*one
	c *frameworktest.Cluster
}

func (x cutting) Offers(ctx context.Context, s *framework.Session, offers []offer.Offer) error {
	if x.launched == 0 {
		x.c.CutSlave(0, time.Hour)
	}
	return x.one.Offers(ctx, s, offers)
}

func TestStartedWithinDoesNotCountTrouble(t *testing.T) {
	c := frameworktest.New(t, frameworktest.Config{Seed: 3, Slaves: 1, Faults: frameworktest.LeaderDies, FaultEvery: time.Second})
	f := c.Start(framework.Config{Name: "batch"}, newBatch(20))
	c.Trouble(10 * time.Minute)
	c.Run(10 * time.Minute)
	f.Expect(frameworktest.Finished(20), frameworktest.StartedWithin(time.Minute))
}

func TestNothingLeftFailsWhereATaskRuns(t *testing.T) {
	long := frameworktest.Config{Runs: func(*rand.Rand, *offer.Task) (time.Duration, offer.Exit) { return 1000 * time.Hour, offer.Exit{} }}
	require.Equal(t, "NothingLeft: task t0 still runs", failure(t, long, &one{}, frameworktest.NothingLeft()))
}

func TestConvergedFailsWhereAStatusIsNotTakenOver(t *testing.T) {
	b := newBatch(1)
	require.Regexp(t, `^Converged: f-1/t0: 0 of its \d updates are delivered$`, failure(t, frameworktest.Config{}, framework.Funcs{
		OnOffers: b.Offers,
		OnStatus: func(context.Context, *framework.Session, offer.Status) error { return context.Canceled },
	}, frameworktest.Converged()))
}

func TestEndedFailsWhereTheSessionGoesOn(t *testing.T) {
	require.Equal(t, "Ended: the session goes on", failure(t, frameworktest.Config{}, framework.Funcs{}, frameworktest.Ended()))
	frameworktest.Run(t, frameworktest.Config{}, func() framework.Scheduler {
		return framework.Funcs{OnSubscribed: func(_ context.Context, s *framework.Session) error { return s.Teardown() }}
	}, frameworktest.Ended())
}

func TestHoldsFailsWithItsWords(t *testing.T) {
	require.Equal(t, "Holds: not so: pigs fly\n\tFinished(1): 0 have finished; by state map[]", failure(t, frameworktest.Config{}, framework.Funcs{},
		frameworktest.Holds("pigs fly", func(*frameworktest.Framework) bool { return false }), frameworktest.Finished(1)))
}
