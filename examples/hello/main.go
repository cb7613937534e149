// Command hello is a master, a slave and a framework in one process, and one task: the smallest whole cluster.
//
//	go run ./examples/hello
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/master"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
	"github.com/meros-project/meros/slave"
)

func main() {
	slave.Supervise(nil) // does not return in the process that watches over the task
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

// hello is the scheduler. It answers the first offer with its one task and waits for the end of it.
type hello struct {
	out      io.Writer
	read     func(file string) ([]byte, error) // what is outside of the cluster is a field, for the test's sake
	launched bool
	task     offer.TaskID
	attempts int
}

func (h *hello) Subscribed(_ context.Context, s *framework.Session) error {
	fmt.Fprintln(h.out, "subscribed as", s.ID())
	return nil
}

func (h *hello) Offers(_ context.Context, s *framework.Session, offers []offer.Offer) error {
	if h.launched {
		return s.Decline(framework.IDs(offers))
	}
	h.launched = true
	h.attempts++
	h.task = offer.TaskID(fmt.Sprint("hello-", h.attempts))
	return s.Launch(offers[0], offer.Task{
		ID:        h.task,
		Resources: resource.Must("cpus:0.1;mem:32"),
		Command:   &offer.Command{Shell: true, Value: "echo hello, cluster"},
	})
}

func (h *hello) Status(_ context.Context, s *framework.Session, st offer.Status) error {
	fmt.Fprintln(h.out, st.TaskID, st.State)
	if st.TaskID != h.task || !st.State.Terminal() {
		return nil
	}
	if st.State != offer.Finished { // the launch was lost with its master, or the machine died: once more, with the next offer
		h.launched = false
		return nil
	}
	said, err := h.read(filepath.Join(st.Container.Sandbox, "stdout"))
	fmt.Fprintln(h.out, "it said:", strings.TrimSpace(string(said)))
	return errors.Join(err, s.Teardown())
}

func run(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "meros-hello-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	m, err := master.New(master.Config{Election: election.Standalone(), Listener: ln})
	if err != nil {
		return err
	}
	s, err := slave.New(slave.Config{Masters: []string{ln.Addr().String()}, Listen: "127.0.0.1:0", WorkDir: dir, Resources: resource.Must("cpus:1;mem:256")})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	failed := make(chan error, 2)
	wg.Go(func() { failed <- m.Run(ctx) })
	wg.Go(func() { failed <- s.Run(ctx) })
	done := make(chan error, 1)
	wg.Go(func() {
		done <- framework.Run(ctx, framework.Config{Name: "hello", Masters: []string{ln.Addr().String()}}, &hello{out: out, read: os.ReadFile})
	})
	select {
	case err := <-failed:
		return fmt.Errorf("master or slave stopped: %w", err)
	case err := <-done:
		return err
	}
}
