package meros_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/master"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
	"github.com/meros-project/meros/slave"
)

func TestMain(m *testing.M) {
	slave.Supervise(nil) // in a program this is the first line of main
	os.Exit(m.Run())
}

// A whole cluster in one process: a master, a slave, and a framework that runs one command.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	var nodes sync.WaitGroup
	defer nodes.Wait()
	defer stop()

	dir, _ := os.MkdirTemp("", "meros-example-")
	defer os.RemoveAll(dir)
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	masters := []string{ln.Addr().String()}

	m, err := master.New(master.Config{Election: election.Standalone(), Listener: ln})
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := slave.New(slave.Config{Masters: masters, Listen: "127.0.0.1:0", WorkDir: dir, Resources: resource.Must("cpus:2;mem:256")})
	if err != nil {
		fmt.Println(err)
		return
	}
	nodes.Go(func() { _ = m.Run(ctx) })
	nodes.Go(func() { _ = s.Run(ctx) })

	launched := false
	err = framework.Run(ctx, framework.Config{Name: "example", Masters: masters}, framework.Funcs{
		OnOffers: func(_ context.Context, s *framework.Session, offers []offer.Offer) error {
			if launched {
				return s.Decline(framework.IDs(offers))
			}
			launched = true
			fmt.Println("offered", offers[0].Resources)
			return s.Launch(offers[0], offer.Task{
				ID:        "t-1",
				Resources: resource.Must("cpus:1;mem:64"),
				Command:   &offer.Command{Shell: true, Value: "exit 3"},
			})
		},
		OnStatus: func(_ context.Context, s *framework.Session, st offer.Status) error {
			fmt.Println(st.TaskID, st.State)
			if st.State.Terminal() {
				fmt.Println(st.Exit)
				return s.Teardown()
			}
			return nil // acknowledges
		},
	})
	fmt.Println("ended with", err)
	// Output:
	// offered cpus:2;mem:256
	// t-1 TASK_RUNNING
	// t-1 TASK_FAILED
	// exited with status 3
	// ended with <nil>
}
