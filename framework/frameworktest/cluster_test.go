package frameworktest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/framework/frameworktest"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// batch runs n tasks to their end; what never ran is started again under another name.
type batch struct {
	waiting  []offer.TaskID
	known    map[offer.TaskID]offer.State
	finished int
}

func newBatch(n int) *batch {
	b := &batch{known: map[offer.TaskID]offer.State{}}
	for i := range n {
		b.waiting = append(b.waiting, offer.TaskID(fmt.Sprintf("t%d", i)))
	}
	return b
}

var each = resource.Must("cpus:1;mem:100")

// Subscribed asks for all tasks whose end is not known: this may be a new process, whose session knows nothing.
func (b *batch) Subscribed(_ context.Context, s *framework.Session) error {
	var refs []framework.TaskRef
	for i := range len(b.known) + len(b.waiting) {
		id := offer.TaskID(fmt.Sprintf("t%d", i))
		if st, ok := b.known[id]; ok && !st.Terminal() {
			refs = append(refs, framework.TaskRef{Task: id})
		}
	}
	if len(refs) == 0 {
		return nil
	}
	return s.Reconcile(refs...)
}

func (b *batch) Offers(_ context.Context, s *framework.Session, offers []offer.Offer) error {
	for _, o := range offers {
		var tasks []offer.Task
		for left := o.Resources; len(b.waiting) > 0 && left.Contains(each); left, _ = left.Sub(each) {
			id := b.waiting[0]
			b.waiting = b.waiting[1:]
			b.known[id] = offer.Staging
			tasks = append(tasks, offer.Task{ID: id, Resources: each, Command: &offer.Command{Value: "true", Shell: true}})
		}
		err := s.Accept([]offer.OfferID{o.ID}, []offer.Operation{offer.Launch(tasks...)})
		if len(tasks) == 0 {
			err = s.Decline([]offer.OfferID{o.ID})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) Status(_ context.Context, s *framework.Session, st offer.Status) error {
	if b.known[st.TaskID].Terminal() {
		return nil
	}
	b.known[st.TaskID] = st.State
	switch {
	case st.State == offer.Finished:
		b.finished++
	case st.State.Terminal():
		b.waiting = append(b.waiting, st.TaskID+"x")
		return s.Revive()
	}
	return nil
}

func TestAHundredTasksFinishOnACalmCluster(t *testing.T) {
	c := frameworktest.New(t, frameworktest.Config{Slaves: 50})
	b := newBatch(100)
	f := c.Start(framework.Config{Name: "batch"}, b)
	began := c.Now()
	c.Until(time.Minute, func() bool { return b.finished == 100 })
	require.Less(t, c.Now().Sub(began), time.Minute)
	require.Equal(t, 1, f.Started("t7"))
	require.NoError(t, f.Session().Teardown())
	c.Run(time.Second)
	err, ended := f.Ended()
	require.True(t, ended)
	require.NoError(t, err)
}

func TestNothingIsLostInTroubleAndTheSameSeedDoesTheSame(t *testing.T) {
	run := func(seed uint64) uint64 {
		c := frameworktest.New(t, frameworktest.Config{Seed: seed, Slaves: 5, Runs: func(r *rand.Rand, _ *offer.Task) (time.Duration, offer.Exit) {
			return time.Duration(1+r.IntN(20)) * time.Second, offer.Exit{}
		}})
		b := newBatch(60)
		f := c.Start(framework.Config{Name: "batch"}, b)
		c.Trouble(2 * time.Minute)
		c.Until(time.Hour, func() bool { return b.finished == 60 })
		for id, st := range b.known {
			if st == offer.Finished {
				require.Equal(t, 1, f.Started(id), "%s", id)
			}
		}
		return c.Hash()
	}
	for seed := uint64(1); seed <= 5; seed++ {
		require.Equal(t, run(seed), run(seed))
	}
	require.NotEqual(t, run(1), run(2))
}

func TestASchedulerThatIsRestartedGoesOnWithItsTasks(t *testing.T) {
	c := frameworktest.New(t, frameworktest.Config{Runs: func(*rand.Rand, *offer.Task) (time.Duration, offer.Exit) {
		return time.Minute, offer.Exit{}
	}})
	b := newBatch(8)
	f := c.Start(framework.Config{Name: "batch"}, b)
	c.Until(time.Minute, func() bool { return c.Running() == 8 })
	id := f.Session().ID()
	c.KillLeader(10 * time.Second)
	f.Restart(b)
	c.CrashSlave(0, time.Second)
	c.CutSlave(1, 10*time.Second)
	c.Until(10*time.Minute, func() bool { return b.finished == 8 })
	require.Equal(t, id, f.Session().ID())
	for i := range 8 {
		require.Equal(t, 1, f.Started(offer.TaskID(fmt.Sprintf("t%d", i))))
	}
}

// A recorder is a test that notes that it failed.
type recorder struct {
	testing.TB
	failed string
}

func (r *recorder) Helper()    {}
func (r *recorder) Log(...any) {}
func (r *recorder) Fatalf(format string, args ...any) {
	r.failed = fmt.Sprintf(format, args...)
	panic(r)
}

func TestASchedulerThatFailsFailsTheTestWithTheSeed(t *testing.T) {
	r := &recorder{TB: t}
	require.PanicsWithValue(t, r, func() {
		c := frameworktest.New(r, frameworktest.Config{Seed: 77})
		c.Start(framework.Config{Name: "bad"}, framework.Funcs{
			OnOffers: func(context.Context, *framework.Session, []offer.Offer) error { return errors.New("boom") },
		})
		c.Run(time.Minute)
	})
	require.Contains(t, r.failed, "seed 77")
	require.Contains(t, r.failed, "boom")
}
