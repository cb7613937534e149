package executor_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/framework/executor"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/master"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
	"github.com/meros-project/meros/slave"
)

// The test program is three programs: a task's supervisor, the executor of Example, and the tests.
func TestMain(m *testing.M) {
	slave.Supervise(nil)
	if os.Getenv("EXAMPLE_EXECUTOR") != "" {
		executorMain()
	}
	goleak.VerifyTestMain(m)
}

// executorMain is the main of a program that is an executor.
func executorMain() {
	cfg, err := executor.FromEnvironment()
	if err == nil {
		err = executor.Run(context.Background(), cfg, &adder{})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// adder is an executor whose tasks add their data, a digit, to a sum that outlives them.
type adder struct{ sum int }

func (a *adder) Launch(_ context.Context, s *executor.Session, task offer.Task) error {
	if err := s.Update(offer.Status{TaskID: task.ID, State: offer.Running}); err != nil {
		return err
	}
	a.sum += int(task.Data[0] - '0')
	return s.Update(offer.Status{TaskID: task.ID, State: offer.Finished, Data: fmt.Append(nil, a.sum)})
}

// Kill has nothing to do: no task lasts.
func (*adder) Kill(context.Context, *executor.Session, offer.TaskID, offer.KillPolicy) error {
	return nil
}

// A custom executor is a program that the slave starts once and that runs many tasks: here this test program itself.
func Example() {
	masters, stop := cluster()
	defer stop()
	self, err := os.Executable()
	if err != nil {
		fmt.Println(err)
		return
	}
	adder := &offer.Executor{ID: "adder", Resources: resource.Must("cpus:0.1;mem:32"), Command: &offer.Command{Value: self,
		Environment: []offer.Variable{{Name: "EXAMPLE_EXECUTOR", Value: "1"}}}}
	task := func(id offer.TaskID, digit string) offer.Task {
		return offer.Task{ID: id, Resources: resource.Must("cpus:0.1;mem:1"), Executor: adder, Data: []byte(digit)}
	}
	launched := false
	err = framework.Run(context.Background(), framework.Config{Name: "sums", Masters: masters}, framework.Funcs{
		OnOffers: func(_ context.Context, s *framework.Session, offers []offer.Offer) error {
			if launched {
				return s.Decline(framework.IDs(offers))
			}
			launched = true
			return s.Launch(offers[0], task("t-1", "4"), task("t-2", "5"))
		},
		OnStatus: func(_ context.Context, s *framework.Session, st offer.Status) error {
			if st.State == offer.Finished {
				fmt.Printf("%s of %s: the sum is %s\n", st.TaskID, st.ExecutorID, st.Data)
			}
			if st.TaskID == "t-2" && st.State.Terminal() {
				return s.Teardown() // ends the executor as well
			}
			return nil
		},
	})
	fmt.Println(err)
	// Output:
	// t-1 of adder: the sum is 4
	// t-2 of adder: the sum is 9
	// <nil>
}

// cluster starts a master and a slave on loopback.
func cluster() (masters []string, stop func()) {
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
	// Where the tests run as root, the test program may be in a folder that nobody else can enter.
	s, err := slave.New(slave.Config{Masters: masters, WorkDir: dir, Listen: "none", Resources: resource.Must("cpus:1;mem:64"),
		Isolation: isolation.Chain{process.New(process.Config{User: "root", AllowRoot: true})}})
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
