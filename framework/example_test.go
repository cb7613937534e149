package framework_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/master"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
	"github.com/meros-project/meros/slave"
)

// cluster starts a master and a slave of cpus:4;disk:512;mem:1024 on loopback and returns the master's address. Containers are entries in the
// runner's table instead of processes.
func cluster(runner *isolationtest.Runner) (masters []string, stop func()) {
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	dir, err := os.MkdirTemp("", "meros-example-")
	check(err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	masters = []string{ln.Addr().String()}
	m, err := master.New(master.Config{Election: election.Standalone(), Listener: ln})
	check(err)
	s, err := slave.New(slave.Config{Masters: masters, WorkDir: dir, Listen: "none", Runner: runner, Resources: resource.Must("cpus:4;disk:512;mem:1024")})
	check(err)
	ctx, cancel := context.WithCancel(context.Background())
	var nodes sync.WaitGroup
	nodes.Go(func() { check(m.Run(ctx)) })
	nodes.Go(func() { check(s.Run(ctx)) })
	return masters, func() {
		cancel()
		nodes.Wait()
		_ = os.RemoveAll(dir)
	}
}

func sleep(id offer.TaskID) offer.Task {
	return offer.Task{ID: id, Resources: resource.Must("cpus:1;mem:64"), Command: &offer.Command{Shell: true, Value: "sleep 1000"}}
}

// A framework that has nothing to run says for how long it does not want to hear of the same resources, and revives when it has.
func ExampleSession_Decline() {
	masters, stop := cluster(&isolationtest.Runner{})
	defer stop()

	jobs := 0
	err := framework.Run(context.Background(), framework.Config{Name: "idle", Masters: masters}, framework.Funcs{
		OnOffers: func(_ context.Context, s *framework.Session, offers []offer.Offer) error {
			fmt.Println("offered", offers[0].Resources)
			if jobs == 0 {
				if err := s.Decline(framework.IDs(offers), framework.Refuse(time.Hour)); err != nil {
					return err
				}
				jobs++ // one comes: the hour is over
				return s.Revive()
			}
			return s.Launch(offers[0], sleep("t-1"))
		},
		OnStatus: func(_ context.Context, s *framework.Session, st offer.Status) error {
			fmt.Println(st.TaskID, st.State)
			return s.Teardown()
		},
	})
	fmt.Println(err)
	// Output:
	// offered cpus:4;disk:512;mem:1024
	// offered cpus:4;disk:512;mem:1024
	// t-1 TASK_RUNNING
	// <nil>
}

// Reconciliation asks what has become of tasks. The session does it by itself for all tasks after each subscription; a program may do so for
// those of which it wonders why it hears nothing.
func ExampleSession_Reconcile() {
	masters, stop := cluster(&isolationtest.Runner{})
	defer stop()

	err := framework.Run(context.Background(), framework.Config{Name: "curious", Masters: masters}, framework.Funcs{
		OnOffers: func(_ context.Context, s *framework.Session, offers []offer.Offer) error {
			return s.Launch(offers[0], sleep("t-1"))
		},
		OnStatus: func(_ context.Context, s *framework.Session, st offer.Status) error {
			fmt.Println(st.TaskID, st.State, "says", st.Source)
			switch {
			case st.TaskID == "t-9":
				return s.Teardown()
			case st.Reason != offer.ReasonReconciliation:
				return s.Reconcile(framework.TaskRef{Task: "t-1"}, framework.TaskRef{Task: "t-9", Slave: st.SlaveID})
			}
			return nil
		},
	})
	fmt.Println(err)
	// Output:
	// t-1 TASK_RUNNING says SOURCE_EXECUTOR
	// t-1 TASK_RUNNING says SOURCE_MASTER
	// t-9 TASK_GONE says SOURCE_MASTER
	// <nil>
}

// A scheduler whose process died comes back with the id that it wrote down, and is told of its tasks, which ran on meanwhile.
func ExampleConfig_resume() {
	masters, stop := cluster(&isolationtest.Runner{})
	defer stop()

	cfg := framework.Config{Name: "phoenix", Masters: masters, FailoverTimeout: 10 * time.Minute}
	process, die := context.WithCancel(context.Background())
	err := framework.Run(process, cfg, framework.Funcs{
		OnSubscribed: func(_ context.Context, s *framework.Session) error {
			cfg.ID = s.ID() // a program keeps it on disk before it launches anything
			return nil
		},
		OnOffers: func(_ context.Context, s *framework.Session, offers []offer.Offer) error {
			return s.Launch(offers[0], sleep("t-1"))
		},
		OnStatus: func(_ context.Context, _ *framework.Session, st offer.Status) error {
			fmt.Println("first life:", st.TaskID, st.State)
			die()
			return nil
		},
	})
	fmt.Println(err)

	told := false
	err = framework.Run(context.Background(), cfg, framework.Funcs{
		OnSubscribed: func(_ context.Context, s *framework.Session) error {
			fmt.Println("the same framework:", s.ID() == cfg.ID)
			return nil
		},
		OnStatus: func(_ context.Context, s *framework.Session, st offer.Status) error {
			if !told { // the same report may come more than once
				told = true
				fmt.Println("second life:", st.TaskID, st.State)
			}
			return s.Teardown()
		},
	})
	fmt.Println(err)
	// Output:
	// first life: t-1 TASK_RUNNING
	// <nil>
	// the same framework: true
	// second life: t-1 TASK_RUNNING
	// <nil>
}

// A task that does not heed SIGTERM is killed for good after the policy's grace.
func ExampleSession_Kill() {
	masters, stop := cluster(&isolationtest.Runner{OnStart: func(*isolation.Spec) isolationtest.Script {
		return isolationtest.Script{IgnorePolite: true}
	}})
	defer stop()

	err := framework.Run(context.Background(), framework.Config{Name: "strict", Masters: masters}, framework.Funcs{
		OnOffers: func(_ context.Context, s *framework.Session, offers []offer.Offer) error {
			stubborn := sleep("t-1")
			stubborn.Kill = offer.KillPolicy{Grace: time.Hour}
			return s.Launch(offers[0], stubborn)
		},
		OnStatus: func(_ context.Context, s *framework.Session, st offer.Status) error {
			fmt.Println(st.TaskID, st.State)
			switch st.State {
			case offer.Running:
				return s.Kill(st.TaskID, st.SlaveID, framework.WithPolicy(offer.KillPolicy{Grace: 50 * time.Millisecond}))
			case offer.Killed:
				fmt.Println(st.Exit)
				return s.Teardown()
			}
			return nil
		},
	})
	fmt.Println(err)
	// Output:
	// t-1 TASK_RUNNING
	// t-1 TASK_KILLING
	// t-1 TASK_KILLED
	// ended by signal 9
	// <nil>
}

// database is a scheduler that is also told what becomes of its operations.
type database struct {
	framework.Funcs
}

func (database) OperationStatus(_ context.Context, _ *framework.Session, st offer.OperationStatus) error {
	fmt.Println(st.ID, st.State)
	return nil
}

// A database reserves the disk for its role, makes a volume of it that outlives the task, and starts the task with it: in one answer to one offer.
func ExampleSession_Accept() {
	masters, stop := cluster(&isolationtest.Runner{})
	defer stop()

	launch := func(s *framework.Session, o offer.Offer) error {
		disk, err := resource.Must("disk:128").Reserve(resource.Reservation{Type: resource.Dynamic, Role: o.Role})
		if err != nil {
			return err
		}
		volume, err := disk.WithVolume(resource.Volume{ID: "v-1", ContainerPath: "data"})
		if err != nil {
			return err
		}
		task := sleep("postgres")
		task.Resources = task.Resources.Add(volume)
		reserve, create := offer.Reserve(disk), offer.Create(volume)
		reserve.ID, create.ID = "reserve", "create" // so that their outcome is told
		return s.Accept([]offer.OfferID{o.ID}, []offer.Operation{reserve, create, offer.Launch(task)})
	}
	err := framework.Run(context.Background(), framework.Config{Name: "db", Roles: []string{"db"}, Masters: masters}, database{framework.Funcs{
		OnOffers: func(_ context.Context, s *framework.Session, offers []offer.Offer) error { return launch(s, offers[0]) },
		OnStatus: func(_ context.Context, s *framework.Session, st offer.Status) error {
			fmt.Println(st.TaskID, st.State)
			return s.Teardown()
		},
	}})
	fmt.Println(err)
	// Output:
	// reserve OPERATION_FINISHED
	// create OPERATION_FINISHED
	// postgres TASK_RUNNING
	// <nil>
}

// The tasks of a group start all or none, and share their fate: when one fails, the others are killed.
func ExampleSession_Accept_launchGroup() {
	runner := &isolationtest.Runner{}
	masters, stop := cluster(runner)
	defer stop()

	launched := false
	var running, ended []string
	err := framework.Run(context.Background(), framework.Config{Name: "pair", Masters: masters}, framework.Funcs{
		OnOffers: func(_ context.Context, s *framework.Session, offers []offer.Offer) error {
			if launched {
				return s.Decline(framework.IDs(offers))
			}
			launched = true
			group := offer.LaunchGroup(sleep("server"), sleep("sidecar"))
			return s.Accept([]offer.OfferID{offers[0].ID}, []offer.Operation{group})
		},
		OnStatus: func(_ context.Context, s *framework.Session, st offer.Status) error {
			switch {
			case st.State == offer.Running:
				if running = append(running, string(st.TaskID)); len(running) == 2 {
					runner.Exit(runner.Running()["server"], offer.Exit{Code: 1}) // it crashes
				}
			case st.State.Terminal():
				if ended = append(ended, fmt.Sprint(st.TaskID, " ", st.State)); len(ended) == 2 {
					return s.Teardown()
				}
			}
			return nil
		},
	})
	slices.Sort(running) // between two tasks no order is promised
	slices.Sort(ended)
	fmt.Println(running, ended, err)
	// Output: [server sidecar] [server TASK_FAILED sidecar TASK_KILLED] <nil>
}
