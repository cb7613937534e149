package launcher_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/framework/frameworktest"
	"github.com/meros-project/meros/framework/launcher"
	"github.com/meros-project/meros/framework/launcher/core"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A diary notes outcomes.
type diary struct {
	lines []string
	ended map[offer.TaskID]offer.State
	at    map[offer.TaskID]launcher.Placed // last
	fails int                              // so many calls fail
}

func newDiary() *diary {
	return &diary{ended: map[offer.TaskID]offer.State{}, at: map[offer.TaskID]launcher.Placed{}}
}

func (d *diary) told(_ context.Context, _ *launcher.Launcher, o launcher.Outcome) error {
	if d.fails > 0 {
		d.fails--
		return errors.New("the disk is full")
	}
	d.lines = append(d.lines, fmt.Sprintf("%s %s %s", o.Task, o.Kind, o.Status.State))
	if o.Kind == launcher.Ended {
		d.ended[o.Task] = o.Status.State
	}
	if o.Kind == launcher.Launching || o.Kind == launcher.Returned {
		d.at[o.Task] = o.Placed
	}
	return nil
}

func command(id, resources string) launcher.Task {
	return launcher.Task{Task: offer.Task{ID: offer.TaskID(id), Resources: resource.Must(resources), Command: &offer.Command{Value: "true", Shell: true}}}
}

func start(t testing.TB, cfg launcher.Config, d *diary, tasks ...launcher.Task) *launcher.Launcher {
	cfg.OnOutcome = d.told
	l, err := launcher.New(cfg)
	require.NoError(t, err)
	require.NoError(t, l.Submit(tasks...))
	return l
}

func many(n int) []launcher.Task {
	var list []launcher.Task
	for i := range n {
		list = append(list, command(fmt.Sprint("t", i), "cpus:1;mem:100"))
	}
	return list
}

func upTo20Seconds(r *rand.Rand, _ *offer.Task) (time.Duration, offer.Exit) {
	return time.Duration(1+r.IntN(20)) * time.Second, offer.Exit{}
}

func TestEveryTaskFinishesThroughTroubleOfAllKinds(t *testing.T) {
	cfg := launcher.Config{Core: core.Config{Retry: launcher.Retry{Failures: launcher.Forever}, Unreachable: launcher.Unreachable{Replace: 2 * time.Minute}}}
	frameworktest.Run(t, frameworktest.Config{Seeds: 20, Slaves: 5, Runs: upTo20Seconds}, func() framework.Scheduler {
		return start(t, cfg, newDiary(), many(60)...)
	}, frameworktest.Finished(60), frameworktest.NoDuplicate(), frameworktest.NothingLeft())
}

// What is not tried again after a loss is never done twice, whatever happens, and its end is told.
func TestWhatIsNeverTriedAgainIsDoneOnceAtMost(t *testing.T) {
	cfg := launcher.Config{Core: core.Config{Retry: launcher.Retry{Losses: launcher.Never}, Unreachable: launcher.Unreachable{Replace: launcher.Wait}}}
	var d *diary
	frameworktest.Run(t, frameworktest.Config{Seeds: 20, Slaves: 5, Runs: upTo20Seconds}, func() framework.Scheduler {
		d = newDiary()
		return start(t, cfg, d, many(40)...)
	}, frameworktest.NoDuplicate(), frameworktest.NothingLeft(), frameworktest.Holds("every end is told", func(*frameworktest.Framework) bool {
		return len(d.ended) == 40
	}), frameworktest.NoDuplicateOf(func(id offer.TaskID) string {
		task, _, _ := strings.Cut(string(id), ".")
		return task
	}))
}

func TestAGroupRunsAsAWholeThroughTroubleOfAllKinds(t *testing.T) {
	cfg := launcher.Config{Core: core.Config{Hold: 5 * time.Second, Unreachable: launcher.Unreachable{Replace: 2 * time.Minute}}}
	var d *diary
	frameworktest.Run(t, frameworktest.Config{Seeds: 10, Slaves: 4, Runs: upTo20Seconds}, func() framework.Scheduler {
		d = newDiary()
		l := start(t, cfg, d)
		for i := range 3 {
			g := launcher.Group{ID: fmt.Sprint("gang-", i), Retry: &launcher.Retry{Failures: launcher.Forever}}
			for j := range 3 {
				x := command(fmt.Sprint("gang-", i, "-", j), "cpus:3;mem:100")
				x.Set, x.Constraints = g.ID, []launcher.Constraint{{Field: launcher.FieldHostname, Op: launcher.Unique}}
				g.Tasks = append(g.Tasks, x)
			}
			require.NoError(t, l.SubmitGroup(g))
		}
		return l
	}, frameworktest.NoDuplicate(), frameworktest.NothingLeft(), frameworktest.Holds("all members of all groups have finished", func(*frameworktest.Framework) bool {
		for _, st := range d.ended {
			if st != offer.Finished {
				return false
			}
		}
		return len(d.ended) == 9
	}))
}

func TestAServiceHasAllItsInstancesAfterTrouble(t *testing.T) {
	runs := func(*rand.Rand, *offer.Task) (time.Duration, offer.Exit) { return 1000 * time.Hour, offer.Exit{} }
	cfg := launcher.Config{Core: core.Config{Retry: launcher.Retry{Failures: launcher.Forever, Finished: true}, Unreachable: launcher.Unreachable{Replace: time.Minute}}}
	for seed := uint64(1); seed <= 10; seed++ {
		c := frameworktest.New(t, frameworktest.Config{Seed: seed, Slaves: 5, Runs: runs, Faults: frameworktest.NetworkFaults | frameworktest.LeaderDies |
			frameworktest.SlaveFaults | frameworktest.Reboots | frameworktest.TasksFailToStart})
		var web []launcher.Task
		for i := range 5 {
			x := command(fmt.Sprint("web-", i), "cpus:1;mem:100")
			x.Set, x.Ports, x.Constraints = "web", 1, []launcher.Constraint{{Field: launcher.FieldHostname, Op: launcher.Unique}}
			web = append(web, x)
		}
		d := newDiary()
		l := start(t, cfg, d, web...)
		f := c.Start(framework.Config{Name: "launcher", FailoverTimeout: 24 * time.Hour}, l)
		c.Trouble(5 * time.Minute)
		c.Until(time.Hour, func() bool { return c.Running() == 5 && len(l.Waiting(10)) == 0 })
		c.Run(2 * time.Minute)
		require.Equal(t, 5, c.Running())
		require.Empty(t, l.Waiting(10))
		require.Empty(t, d.ended)
		f.Expect(frameworktest.NoDuplicate())
	}
}

func TestAnOutcomeThatCannotBeToldIsToldAgainAndNothingIsLaunchedBefore(t *testing.T) {
	c := frameworktest.New(t, frameworktest.Config{})
	d := newDiary()
	d.fails = 3
	f := c.Start(framework.Config{Name: "launcher"}, start(t, launcher.Config{}, d, command("a", "cpus:1;mem:100")))
	c.Until(time.Minute, func() bool { return d.fails == 2 })
	require.Zero(t, c.Running())
	c.Until(time.Minute, func() bool { return d.ended["a"] == offer.Finished })
	require.Equal(t, 1, f.Started("a"))
	require.Equal(t, []string{"a launching TASK_STARTING", "a changed TASK_RUNNING", "a ended TASK_FINISHED"}, d.lines)
}

func TestAProgramThatStartsAgainAdoptsItsTasks(t *testing.T) {
	c := frameworktest.New(t, frameworktest.Config{Runs: func(*rand.Rand, *offer.Task) (time.Duration, offer.Exit) { return time.Minute, offer.Exit{} }})
	d := newDiary()
	f := c.Start(framework.Config{Name: "launcher"}, start(t, launcher.Config{}, d, many(4)...))
	c.Until(time.Minute, func() bool { return c.Running() == 4 })
	again := newDiary()
	l := start(t, launcher.Config{}, again, command("later", "cpus:1;mem:100"))
	for _, x := range many(4) {
		require.NoError(t, l.Adopt(x, d.at[x.Task.ID], offer.Staging))
	}
	c.KillLeader(time.Second)
	f.Restart(l)
	c.Until(10*time.Minute, func() bool { return len(again.ended) == 5 })
	for i := range 4 {
		require.Equal(t, 1, f.Started(offer.TaskID(fmt.Sprint("t", i))))
	}
	f.Expect(frameworktest.AllFinished(), frameworktest.NothingLeft())
}

func TestAKillReachesATaskWhoseSlaveIsCutOff(t *testing.T) {
	c := frameworktest.New(t, frameworktest.Config{Slaves: 1, Runs: func(*rand.Rand, *offer.Task) (time.Duration, offer.Exit) { return 1000 * time.Hour, offer.Exit{} }})
	d := newDiary()
	l := start(t, launcher.Config{}, d, command("a", "cpus:1;mem:100"))
	c.Start(framework.Config{Name: "launcher"}, l)
	c.Until(time.Minute, func() bool { return c.Running() == 1 })
	c.CutSlave(0, 20*time.Second)
	require.NoError(t, l.Kill("a", nil))
	c.Run(10 * time.Second)
	require.Equal(t, 1, c.Running())
	c.Until(5*time.Minute, func() bool { return d.ended["a"] == offer.Killed })
	require.Zero(t, c.Running())
}

func TestPrepareCompletesATaskForItsPlace(t *testing.T) {
	c := frameworktest.New(t, frameworktest.Config{})
	d := newDiary()
	var seen []string
	cfg := launcher.Config{Prepare: func(task *offer.Task, at launcher.Placed) error {
		if task.ID == "bad" {
			return errors.New("no such template")
		}
		if task.ID == "worse" {
			task.Command.Value = ""
		}
		for _, v := range task.Command.Environment {
			seen = append(seen, v.Name+"="+v.Value)
		}
		require.NotEmpty(t, at.Hostname)
		return nil
	}}
	good := command("good", "cpus:1;mem:100")
	good.Ports = 2
	l := start(t, cfg, d, good, command("bad", "cpus:1;mem:100"), command("worse", "cpus:1;mem:100"))
	c.Start(framework.Config{Name: "launcher"}, l)
	c.Until(time.Minute, func() bool { return len(d.ended) == 3 })
	require.Equal(t, map[offer.TaskID]offer.State{"good": offer.Finished, "bad": offer.Error, "worse": offer.Error}, d.ended)
	require.Equal(t, []string{"PORT0=31000", "PORT1=31001", "PORT=31000", "PORTS=31000,31001"}, seen)
}

func TestBadInputIsRefusedWithTheFieldTheValueAndWhatIsAllowed(t *testing.T) {
	for want, change := range map[string]func(*launcher.Task){
		"Task.Task.ID":            func(x *launcher.Task) { x.Task.ID = "a/b" },
		"Task.Task.Command":       func(x *launcher.Task) { x.Task.Command = nil },
		"Task.Task.Command.Value": func(x *launcher.Task) { x.Task.Command.Value = "" },
		"Task.Task.Resources":     func(x *launcher.Task) { x.Task.Resources = nil },
		"Task.Task.Lease":         func(x *launcher.Task) { x.Task.Lease = time.Millisecond },
		"Task.Task.MaxCompletion": func(x *launcher.Task) { x.Task.MaxCompletion = -1 },
		"Task.Role":               func(x *launcher.Task) { x.Role = "other" },
		"Task.Policy":             func(x *launcher.Task) { x.Policy = 9 },
		"Task.Ports":              func(x *launcher.Task) { x.Ports = -1 },
		"Task.Priority":           func(x *launcher.Task) { x.Priority = 1 << 40 },
		"Task.Set":                func(x *launcher.Task) { x.Set = strings.Repeat("x", 256) },
		"Task.Backoff":            func(x *launcher.Task) { x.Backoff = "\x00x" },
		"Task.Retry.Failures":     func(x *launcher.Task) { x.Retry = &launcher.Retry{Failures: -2} },
		"Task.Retry.Factor":       func(x *launcher.Task) { x.Retry = &launcher.Retry{Factor: 0.5} },
		"Task.Retry.Max":          func(x *launcher.Task) { x.Retry = &launcher.Retry{First: time.Hour, Max: time.Second} },
		"Task.Unreachable.Replace": func(x *launcher.Task) {
			x.Unreachable = &launcher.Unreachable{Replace: -5}
		},
		"Task.Constraints": func(x *launcher.Task) { x.Constraints = make([]launcher.Constraint, 33) },
		"Task.Constraints[0].Field \"\"": func(x *launcher.Task) {
			x.Constraints = []launcher.Constraint{{Op: launcher.Unique}}
		},
		"Task.Constraints[0].Op 0": func(x *launcher.Task) { x.Constraints = []launcher.Constraint{{Field: "rack"}} },
		"Task.Constraints[0].Value \"x\"": func(x *launcher.Task) {
			x.Constraints = []launcher.Constraint{{Field: "rack", Op: launcher.Unique, Value: "x"}}
		},
		"Task.Constraints[0].Value \"0\"": func(x *launcher.Task) {
			x.Constraints = []launcher.Constraint{{Field: "rack", Op: launcher.MaxPer, Value: "0"}}
		},
		"Task.Constraints[0].Value \"(\"": func(x *launcher.Task) {
			x.Constraints = []launcher.Constraint{{Field: "rack", Op: launcher.Like, Value: "("}}
		},
		"Task.Constraints[0].Value \"((a{100}){": func(x *launcher.Task) {
			x.Constraints = []launcher.Constraint{{Field: "rack", Op: launcher.Like, Value: "((a{100}){100}){100}"}}
		},
		"Task.Constraints[0].Value \"aaaa": func(x *launcher.Task) {
			x.Constraints = []launcher.Constraint{{Field: "rack", Op: launcher.Like, Value: strings.Repeat("a", 257)}}
		},
	} {
		l, err := launcher.New(launcher.Config{})
		require.NoError(t, err)
		x := command("a", "cpus:1")
		change(&x)
		err = l.Submit(x)
		require.ErrorIs(t, err, &offer.Refusal{Reason: offer.ReasonInvalidField}, want)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "must", want)
		require.Empty(t, l.Waiting(10), "nothing half-applied")
	}
	l, err := launcher.New(launcher.Config{Core: core.Config{MaxTasks: 2, MaxGroup: 2}})
	require.NoError(t, err)
	require.NoError(t, l.Submit(command("a", "cpus:1")))
	require.ErrorIs(t, l.Submit(command("a", "cpus:1")), &offer.Refusal{Reason: offer.ReasonDuplicateID})
	require.NoError(t, l.Submit(command("b", "cpus:1")))
	require.ErrorIs(t, l.Submit(command("c", "cpus:1")), &offer.Refusal{Reason: offer.ReasonLimitReached})
	require.ErrorIs(t, l.Kill("nobody", nil), &offer.Refusal{Reason: offer.ReasonUnknownID})
	require.ErrorContains(t, l.SubmitGroup(launcher.Group{ID: "g"}), "Group.Tasks of 0: must have 1 to 2")
	require.ErrorContains(t, l.SubmitGroup(launcher.Group{ID: "g", Tasks: many(3)}), "Group.Tasks of 3")
	require.ErrorContains(t, l.SubmitGroup(launcher.Group{ID: "g", Tasks: []launcher.Task{command("x", "cpus:1"), command("x", "cpus:1")}}), "must not repeat")
	require.ErrorContains(t, l.Adopt(command("d", "cpus:1"), launcher.Placed{Task: "d"}, offer.Running), "At.Slave")
	require.ErrorContains(t, l.Adopt(command("d", "cpus:1"), launcher.Placed{Task: "d", Slave: "s"}, offer.Finished), "State TASK_FINISHED: must be")
}

func TestConfigIsCheckedFieldByField(t *testing.T) {
	for want, cfg := range map[string]launcher.Config{
		"Config.TellAgain":      {TellAgain: -1},
		"Config.MaxUntold":      {MaxUntold: -1},
		"Config.Roles[1]":       {Core: core.Config{Roles: []string{"a", "a"}}},
		"Config.Policy":         {Core: core.Config{Policy: 9}},
		"Config.Hold":           {Core: core.Config{Hold: -1}},
		"Config.Gather":         {Core: core.Config{Gather: time.Hour}},
		"Config.MaxTasks":       {Core: core.Config{MaxTasks: -1}},
		"Config.Retry.Losses":   {Core: core.Config{Retry: core.Retry{Losses: -2}}},
		"Config.Unreachable.Re": {Core: core.Config{Unreachable: core.Unreachable{Replace: -2}}},
	} {
		_, err := launcher.New(cfg)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "must", want)
	}
}
