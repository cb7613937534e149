package frameworktest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/framework/frameworktest"
	"github.com/meros-project/meros/offer"
)

// seconds makes tasks run for up to n seconds.
func seconds(n int) func(*rand.Rand, *offer.Task) (time.Duration, offer.Exit) {
	return func(r *rand.Rand, _ *offer.Task) (time.Duration, offer.Exit) {
		return time.Duration(1+r.IntN(n)) * time.Second, offer.Exit{}
	}
}

func TestABatchComesToItsEndInAnyTrouble(t *testing.T) {
	frameworktest.Run(t, frameworktest.Config{Seeds: 20, Slaves: 5, Runs: seconds(20)},
		func() framework.Scheduler { return newBatch(40) },
		frameworktest.Finished(40), frameworktest.NoDuplicate(), frameworktest.StartedWithin(30*time.Minute), frameworktest.NothingLeft(),
		frameworktest.Converged())
}

func TestEachSetOfFaultsIsOneThatABatchSurvives(t *testing.T) {
	for _, faults := range []frameworktest.Faults{frameworktest.NetworkFaults, frameworktest.MasterFaults, frameworktest.SlaveFaults, frameworktest.TaskFaults,
		frameworktest.ClockFaults, frameworktest.AllFaults} {
		t.Run(faults.String()[:10], func(t *testing.T) {
			frameworktest.Run(t, frameworktest.Config{Seeds: 3, Slaves: 5, Runs: seconds(20), Faults: faults},
				func() framework.Scheduler { return newBatch(40) }, frameworktest.Finished(40), frameworktest.NoDuplicate(), frameworktest.NothingLeft())
		})
	}
}

func TestRunsInParallelDoNotTakeEachOthersGoroutinesForTheirScheduler(t *testing.T) {
	for i := range 4 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			for range 20 {
				done := make(chan struct{})
				go func() { time.Sleep(time.Millisecond); close(done) }()
				frameworktest.Run(t, frameworktest.Config{Seed: uint64(i + 1), Trouble: time.Minute}, func() framework.Scheduler { return newBatch(5) },
					frameworktest.Finished(5))
				<-done
			}
		})
	}
}

func TestWhereNoLaunchIsLostAllFinishUnderTheirFirstNames(t *testing.T) {
	for _, faults := range []frameworktest.Faults{frameworktest.Calm, frameworktest.SlowDisks, frameworktest.DatesJump, frameworktest.DoubledRequests} {
		frameworktest.Run(t, frameworktest.Config{Seeds: 10, Runs: seconds(20), Faults: faults}, func() framework.Scheduler { return newBatch(40) },
			frameworktest.Finished(40), frameworktest.AllFinished())
	}
}

// A late scheduler launches its task when an hour has passed by its own clock.
type late struct {
	*batch
	began time.Time
	ready bool
}

func (l *late) Subscribed(ctx context.Context, s *framework.Session) error {
	if l.began.IsZero() {
		l.began = s.Now()
		s.After(time.Hour, func(context.Context, *framework.Session) error {
			if s.Now().Sub(l.began) < time.Hour {
				return fmt.Errorf("woken after %v", s.Now().Sub(l.began))
			}
			l.ready = true
			return s.Revive()
		})
		stop := s.After(30*time.Minute, func(context.Context, *framework.Session) error { return errors.New("was stopped") })
		stop()
	}
	return l.batch.Subscribed(ctx, s)
}

func (l *late) Offers(ctx context.Context, s *framework.Session, offers []offer.Offer) error {
	if !l.ready {
		return s.Decline(framework.IDs(offers))
	}
	return l.batch.Offers(ctx, s, offers)
}

func TestASchedulerHasAClockAndTimersOfTheWorld(t *testing.T) {
	var began, launched time.Time
	frameworktest.Run(t, frameworktest.Config{Patience: 2 * time.Hour}, func() framework.Scheduler { return &late{batch: newBatch(3)} },
		frameworktest.Finished(3), frameworktest.Holds("the clock goes on", func(f *frameworktest.Framework) bool {
			began, launched = f.Scheduler().(*late).began, f.Session().Now()
			return launched.After(began)
		}))
	require.Greater(t, launched.Sub(began), time.Hour)
}

func TestTimersEndWithTheirProcessAndAnErrorOfOneEndsTheSession(t *testing.T) {
	c := frameworktest.New(t, frameworktest.Config{})
	calls := 0
	count := framework.Funcs{OnSubscribed: func(_ context.Context, s *framework.Session) error {
		s.After(time.Minute, func(context.Context, *framework.Session) error { calls++; return nil })
		return nil
	}}
	f := c.Start(framework.Config{Name: "first"}, count)
	c.Run(30 * time.Second)
	f.Restart(framework.Funcs{})
	c.Run(5 * time.Minute)
	require.Zero(t, calls)
	f.Restart(count)
	c.Run(5 * time.Minute)
	require.Equal(t, 1, calls)

	r := &recorder{TB: t}
	require.PanicsWithValue(t, r, func() {
		frameworktest.Run(r, frameworktest.Config{Seed: 5}, func() framework.Scheduler {
			return framework.Funcs{OnSubscribed: func(_ context.Context, s *framework.Session) error {
				s.After(time.Second, func(context.Context, *framework.Session) error { panic("boom") })
				return nil
			}}
		})
	})
	require.Contains(t, r.failed, "After: panic: boom")
}

const misbehave = "FRAMEWORKTEST_MISBEHAVE"

// reuser launches a task again under its id when it was lost, or when it has finished on an unlucky seed.
type reuser struct{ *batch }

func (r reuser) Status(_ context.Context, s *framework.Session, st offer.Status) error {
	if st.State == offer.Finished && r.finished < 3 {
		r.finished++
		r.waiting = append(r.waiting, st.TaskID)
		return s.Revive()
	}
	return nil
}

// TestMisbehavingSchedulers fails. It is run by the tests below, in a process of its own.
func TestMisbehavingSchedulers(t *testing.T) {
	if os.Getenv(misbehave) == "" {
		t.Skip("run by TestASchedulerThatLeavesTheWorldIsToldSo, and meant to fail")
	}
	offers := func(f func(s *framework.Session)) func() framework.Scheduler {
		return func() framework.Scheduler {
			b := newBatch(5)
			return framework.Funcs{OnStatus: b.Status, OnOffers: func(ctx context.Context, s *framework.Session, offers []offer.Offer) error {
				f(s)
				return b.Offers(ctx, s, offers)
			}}
		}
	}
	cfg := frameworktest.Config{Seed: 40, Faults: frameworktest.Calm, Keep: 3}
	run := func(name string, scheduler func() framework.Scheduler, expect ...frameworktest.Expectation) {
		t.Run(name, func(t *testing.T) { frameworktest.Run(t, cfg, scheduler, expect...) })
	}
	run("a goroutine", offers(func(*framework.Session) { go time.Sleep(5 * time.Second) }))
	run("a worker", func() framework.Scheduler {
		b, work := newBatch(5), make(chan func())
		go func() {
			for f := range work {
				f()
			}
		}()
		return framework.Funcs{OnStatus: b.Status, OnOffers: func(ctx context.Context, s *framework.Session, offers []offer.Offer) error {
			work <- func() { _ = b.Offers(ctx, s, offers) }
			return nil
		}}
	})
	run("a call of a goroutine", offers(func(s *framework.Session) {
		done := make(chan error)
		go func() { done <- s.Suppress() }()
		<-done
	}))
	run("a sleep", offers(func(*framework.Session) { time.Sleep(time.Millisecond) }))
	run("the real time", func() framework.Scheduler {
		began := time.Now()
		return offers(func(s *framework.Session) {
			if time.Since(began) > time.Minute { // never outside of production, in which it matters
				_ = s.Suppress()
			}
		})()
	})
	run("a timer", offers(func(s *framework.Session) { time.AfterFunc(5*time.Second, func() { _ = s.Revive() }) }))
	run("a random number", offers(func(s *framework.Session) { _ = s.Kill(offer.TaskID(fmt.Sprint(rand.Int64())), "") }))
	cfg.Seed, cfg.Seeds = 1, 40
	unlucky := 0
	run("a seed that's unlucky", func() framework.Scheduler {
		if unlucky++; unlucky < 9 && !strings.Contains(strings.Join(os.Args, " "), "meros.seed") { // the first seed is run twice
			return newBatch(1)
		}
		return reuser{newBatch(1)}
	}, frameworktest.NoDuplicate())
}

func child(t *testing.T, dir string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), misbehave+"=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err, "it must fail:\n%s", out)
	return string(out)
}

func TestASchedulerThatLeavesTheWorldIsToldSo(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	out := child(t, "", self, "-test.run", "^TestMisbehavingSchedulers$")
	reports := strings.Split(out, "--- FAIL: ")
	for name, want := range map[string]string{
		"a_goroutine":           "the handler of Offers has started a goroutine that outlives it:\n(?s).*run_test.go:\\d+.*later in one by Session.After",
		"a_worker":              "the function given to Run has started a goroutine that outlives it:\n(?s).*run_test.go:\\d+",
		"a_call_of_a_goroutine": "Session.Suppress was called by a goroutine of the scheduler's own:\n(?s).*run_test.go:\\d+",
		"a_sleep":               "the handler of Offers waited for 1ms by the machine's clock",
		"the_real_time":         "seed 40: the second run of the seed went another way than the first(?s).*\n.*second .*: Session.Suppress",
		"a_timer":               "Session.Revive was called by a goroutine of the scheduler's own:\n(?s).*run_test.go:\\d+",
		"a_random_number":       "seed 40: the second run of the seed went another way than the first(?s).*\n.*first .*: Session.KillTask .*\n.*second .*: Session.KillTask",
		"a_seed_that's_unlucky": "seed 8: NoDuplicate: task t0 was started \\d times",
	} {
		found := false
		for _, r := range reports {
			if strings.HasPrefix(r, "TestMisbehavingSchedulers/"+name+" ") {
				found = true
				require.Regexp(t, want, r)
				require.Regexp(t, `run it again: go test -run '\^TestMisbehavingSchedulers\$/\^`, r)
				require.Contains(t, r, "the last events:\n")
			}
		}
		require.True(t, found, "%s in\n%s", name, out)
	}
}

func TestTheLineThatAFailurePrintsRunsTheSeedAgain(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	out := child(t, "", self, "-test.run", "^TestMisbehavingSchedulers$/unlucky")
	found := regexp.MustCompile(`(frameworktest: seed 8: .*)\n\s*run it again: (.*)\n`).FindStringSubmatch(out)
	require.NotNil(t, found, "%s", out)
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	require.Equal(t, `go test -run '^TestMisbehavingSchedulers$/^a_seed_that'\''s_unlucky$' github.com/meros-project/meros/framework/frameworktest -meros.seed=8`, found[2])
	out = child(t, root, "sh", "-c", found[2])
	require.Contains(t, out, found[1], "the same seed, for the same reason")
	require.Equal(t, 1, strings.Count(out, "frameworktest: seed"))
	require.Equal(t, 1, strings.Count(out, "--- FAIL: TestMisbehavingSchedulers/"))
}
