package frameworktest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/framework/frameworktest"
	"github.com/meros-project/meros/offer"
)

// A service keeps one task running that has a health check, and notes what it is told of it.
type service struct {
	runs   int
	up     bool
	health []string
}

func (x *service) Subscribed(_ context.Context, s *framework.Session) error {
	if x.up {
		return s.Reconcile(framework.TaskRef{Task: x.task()})
	}
	return nil
}

func (x *service) task() offer.TaskID { return offer.TaskID(fmt.Sprint("run-", x.runs)) }

func (x *service) Offers(_ context.Context, s *framework.Session, offers []offer.Offer) error {
	for _, o := range offers {
		if x.up || !o.Resources.Contains(each) {
			if err := s.Decline([]offer.OfferID{o.ID}); err != nil {
				return err
			}
			continue
		}
		x.runs++
		x.up = true
		task := offer.Task{ID: x.task(), Resources: each, Command: &offer.Command{Value: "serve"}}
		task.Health = &offer.HealthCheck{Check: offer.Check{Kind: offer.CheckHTTP, Port: 80, Path: "/health", Delay: -1}, Failures: 2}
		task.Check = &offer.Check{Kind: offer.CheckTCP, Port: 80}
		if err := s.Launch(o, task); err != nil {
			return err
		}
	}
	return nil
}

func (x *service) Status(_ context.Context, s *framework.Session, st offer.Status) error {
	if st.TaskID != x.task() || !x.up {
		return nil
	}
	if st.Reason == offer.ReasonTaskHealthCheckStatusUpdated {
		x.health = append(x.health, fmt.Sprintf("%s %v healthy=%v", st.TaskID, st.State, *st.Healthy))
	}
	if x.up = !st.State.Terminal(); !x.up {
		return s.Revive()
	}
	return nil
}

func longRuns(*rand.Rand, *offer.Task) (time.Duration, offer.Exit) {
	return 1000 * time.Hour, offer.Exit{}
}

func TestATaskThatFallsIllIsKilledAndItsSchedulerIsTold(t *testing.T) {
	c := frameworktest.New(t, frameworktest.Config{Runs: longRuns,
		Checks: func(_ *rand.Rand, task *offer.Task, check *offer.Check, runs time.Duration) offer.CheckResult {
			status := 200
			if task.ID == "run-1" && runs > time.Minute {
				status = 500
			}
			return offer.CheckResult{Known: true, Status: status, Succeeded: true}
		}})
	x := &service{}
	f := c.Start(framework.Config{Name: "service"}, x)
	c.Until(10*time.Minute, func() bool { return x.runs == 2 && len(x.health) == 5 })
	require.Equal(t, []string{"run-1 TASK_RUNNING healthy=true", "run-1 TASK_RUNNING healthy=false", "run-1 TASK_KILLING healthy=false", "run-1 TASK_KILLED healthy=false",
		"run-2 TASK_RUNNING healthy=true"}, x.health)
	require.Equal(t, 1, f.Started("run-1"))
	require.Equal(t, 1, c.Running())
}

func TestASchedulerIsRunThroughAWorldInWhichTasksFallIll(t *testing.T) {
	var last *service
	frameworktest.Run(t, frameworktest.Config{Seeds: 5, Runs: longRuns, Faults: frameworktest.TasksFallIll | frameworktest.LeaderDies | frameworktest.SlavesDie},
		func() framework.Scheduler {
			last = &service{}
			return last
		}, frameworktest.NoDuplicate())
	require.NotEmpty(t, last.health)
}
