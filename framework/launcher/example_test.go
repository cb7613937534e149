package launcher_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/framework/frameworktest"
	"github.com/meros-project/meros/framework/launcher"
	"github.com/meros-project/meros/framework/launcher/core"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A service of three instances, each on a host of its own, and one task that is too large for the cluster. In a program of your own it is
// Launcher.Run that runs it; here it is a simulated cluster, whose leader is killed on the way.
func Example() {
	hosts := map[string]bool{}
	l, err := launcher.New(launcher.Config{
		Core: core.Config{Retry: launcher.Retry{Failures: launcher.Forever, Finished: true}},
		OnOutcome: func(_ context.Context, _ *launcher.Launcher, o launcher.Outcome) error {
			if o.Kind == launcher.Launching {
				hosts[o.Placed.Hostname] = true
			}
			if o.Kind == launcher.Ended {
				fmt.Println(o.Task, o.Status.State)
			}
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 3 {
		err = l.Submit(launcher.Task{Set: "web", Ports: 1, Constraints: []launcher.Constraint{{Field: launcher.FieldHostname, Op: launcher.Unique}},
			Task: offer.Task{ID: offer.TaskID(fmt.Sprint("web-", i)), Resources: resource.Must("cpus:1;mem:256"),
				Command: &offer.Command{Shell: true, Value: "serve -port $PORT"}}})
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	err = l.Submit(launcher.Task{Task: offer.Task{ID: "huge", Resources: resource.Must("cpus:16;mem:256"), Command: &offer.Command{Value: "huge"}}})
	if err != nil {
		fmt.Println(err)
		return
	}

	c := frameworktest.New(atExample{}, frameworktest.Config{Slaves: 4, Runs: func(*rand.Rand, *offer.Task) (time.Duration, offer.Exit) {
		return 24 * time.Hour, offer.Exit{}
	}})
	c.Start(framework.Config{Name: "web"}, l)
	c.Until(time.Minute, func() bool { return c.Running() == 3 })
	c.KillLeader(10 * time.Second)
	c.Run(time.Minute)
	fmt.Println(c.Running(), "run on", len(hosts), "hosts")

	for _, w := range l.Waiting(10) {
		words := []rune(w.Why)
		fmt.Println(w.Task, "waits:", string(words[:slices.Index(words, ';')]))
	}
	for _, id := range []string{"huge", "web-0"} {
		if err := l.Kill(id, nil); err != nil {
			fmt.Println(err)
		}
	}
	c.Run(time.Minute)
	fmt.Println(c.Running(), "run")
	// Output:
	// 3 run on 3 hosts
	// huge waits: needs 16 cpus
	// huge TASK_KILLED
	// web-0 TASK_KILLED
	// 2 run
}

// atExample stands in for a *testing.T, which examples do not have.
type atExample struct{ testing.TB }

func (atExample) Helper()                      {}
func (atExample) Name() string                 { return "Example" }
func (atExample) Context() context.Context     { return context.Background() }
func (atExample) Log(args ...any)              { fmt.Println(args...) }
func (atExample) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
