package slave_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/master"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
	"github.com/meros-project/meros/slave"
)

// run runs a master or a slave until stop is called.
func run(node func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := node(ctx); err != nil {
			fmt.Println(err)
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// startMaster runs a master on loopback.
func startMaster() (masters []string, stop func()) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	m, err := master.New(master.Config{Election: election.Standalone(), Listener: ln})
	if err != nil {
		panic(err)
	}
	return []string{ln.Addr().String()}, run(m.Run)
}

// runTask is a framework that runs one task and prints what it is told of it. When is called with each state of the task, once. It returns the
// framework's id.
func runTask(masters []string, task offer.Task, when func(offer.Status)) (id offer.FrameworkID) {
	launched, last := false, offer.Staging
	err := framework.Run(context.Background(), framework.Config{Name: "example", Masters: masters}, framework.Funcs{
		OnOffers: func(_ context.Context, s *framework.Session, offers []offer.Offer) error {
			if launched {
				return s.Decline(framework.IDs(offers))
			}
			launched, id = true, s.ID()
			return s.Launch(offers[0], task)
		},
		OnStatus: func(_ context.Context, s *framework.Session, st offer.Status) error {
			if st.State == last {
				return nil // the same report may come more than once
			}
			last = st.State
			fmt.Println(st.TaskID, st.State)
			when(st)
			if st.State.Terminal() {
				return s.Teardown()
			}
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
	}
	return id
}

func tempDir() string {
	dir, err := os.MkdirTemp("", "meros-example-")
	if err != nil {
		panic(err)
	}
	return dir
}

// A task may be a Go function of the program that embeds the slave. It runs in a process of its own, a copy of the program, so that main must
// begin with Supervise. Here TestMain does, with a function that greets whoever its data names:
//
//	slave.Supervise(slave.Funcs{"greet": func(_ context.Context, task slave.FuncTask) error {
//		fmt.Printf("hello %s\n", task.Data)
//		return nil
//	}})
func ExampleSupervise() {
	masters, stopMaster := startMaster()
	defer stopMaster()
	dir := tempDir()
	defer os.RemoveAll(dir)
	s, err := slave.New(slave.Config{Masters: masters, WorkDir: dir, Listen: "none", Resources: resource.Must("cpus:1;mem:64")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer run(s.Run)()

	task := offer.Task{ID: "t-1", Resources: resource.Must("cpus:1;mem:32"), Function: "greet", Data: []byte("Ada")}
	runTask(masters, task, func(st offer.Status) {
		if st.State == offer.Finished {
			said, err := os.ReadFile(filepath.Join(st.Container.Sandbox, "stdout"))
			fmt.Println(strings.TrimSpace(string(said)), err)
		}
	})
	// Output:
	// t-1 TASK_RUNNING
	// t-1 TASK_FINISHED
	// hello Ada <nil>
}

// scratch is an isolator that gives each container a folder of its own, and takes it away afterwards.
type scratch struct{ dir string }

func (scratch) Name() string { return "scratch" }

func (s scratch) Prepare(_ context.Context, spec *isolation.Spec, plan *isolation.Plan) error {
	fmt.Println("prepare the scratch folder of", spec.Task)
	plan.Setenv("SCRATCH", filepath.Join(s.dir, spec.Container))
	return os.Mkdir(filepath.Join(s.dir, spec.Container), 0o777)
}

func (scratch) Attach(context.Context, string, int) error { return nil }

func (s scratch) Cleanup(_ context.Context, container string) error {
	return os.RemoveAll(filepath.Join(s.dir, container))
}

// Isolators are plugged in as a chain. The process isolator, which says what to start, is part of it.
func ExampleConfig_isolation() {
	masters, stopMaster := startMaster()
	defer stopMaster()
	dir, work := tempDir(), tempDir()
	defer os.RemoveAll(dir)
	defer os.RemoveAll(work)
	_ = os.Chmod(dir, 0o755) // where the slave is root, its tasks are not
	s, err := slave.New(slave.Config{Masters: masters, WorkDir: work, Listen: "none", Resources: resource.Must("cpus:1;mem:64"),
		Isolation: isolation.Chain{process.New(process.Config{}), scratch{dir: dir}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	stop := run(s.Run)
	task := offer.Task{ID: "t-1", Resources: resource.Must("cpus:1;mem:32"), Command: &offer.Command{Shell: true, Value: `test -d "$SCRATCH"`}}
	runTask(masters, task, func(offer.Status) {})
	stop()
	left, _ := os.ReadDir(dir)
	fmt.Println(len(left), "folders left")
	// Output:
	// prepare the scratch folder of t-1
	// t-1 TASK_RUNNING
	// t-1 TASK_FINISHED
	// 0 folders left
}

// With a runner that follows a script there are no processes at all: for tests of what is rare, such as a task that breaks its limit of memory.
func ExampleConfig_runner() {
	masters, stopMaster := startMaster()
	defer stopMaster()
	dir := tempDir()
	defer os.RemoveAll(dir)
	runner := &isolationtest.Runner{}
	s, err := slave.New(slave.Config{Masters: masters, WorkDir: dir, Listen: "none", Resources: resource.Must("cpus:1;mem:64"), Runner: runner})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer run(s.Run)()

	task := offer.Task{ID: "t-1", Resources: resource.Must("cpus:1;mem:32"), Command: &offer.Command{Value: "/opt/leaks"}}
	runTask(masters, task, func(st offer.Status) {
		if st.State == offer.Running {
			runner.EndWith(st.Container.ID, isolation.Event{Reason: offer.ReasonContainerLimitationMemory, Message: "33 MiB of 32 MiB are in use",
				Known: true, Exit: offer.Exit{Signal: 9}})
			return
		}
		fmt.Println(st.Reason, "because", st.Message)
	})
	// Output:
	// t-1 TASK_RUNNING
	// t-1 TASK_FAILED
	// REASON_CONTAINER_LIMITATION_MEMORY because 33 MiB of 32 MiB are in use
}

// A slave that is stopped, or killed, leaves its tasks running. Another one on the same folder is the same slave, finds them, and tells how
// they ended.
func ExampleSlave_Run() {
	masters, stopMaster := startMaster()
	defer stopMaster()
	dir := tempDir()
	defer os.RemoveAll(dir)
	start := func() (stop func()) {
		s, err := slave.New(slave.Config{Masters: masters, WorkDir: dir, Listen: "none", Resources: resource.Must("cpus:1;mem:64")})
		if err != nil {
			panic(err)
		}
		stop = run(s.Run)
		<-s.Ready()
		return stop
	}
	stop := start()
	line := "while ! test -e go; do sleep 0.02; done; exit 7"
	task := offer.Task{ID: "t-1", Resources: resource.Must("cpus:1;mem:32"), Command: &offer.Command{Shell: true, Value: line}}
	runTask(masters, task, func(st offer.Status) {
		if st.State != offer.Running {
			fmt.Println(st.Exit)
			return
		}
		stop()
		fmt.Println("the slave is away, the task is not")
		if err := os.WriteFile(filepath.Join(st.Container.Sandbox, "go"), nil, 0o644); err != nil {
			fmt.Println(err)
		}
		stop = start()
	})
	stop()
	// Output:
	// t-1 TASK_RUNNING
	// the slave is away, the task is not
	// t-1 TASK_FAILED
	// exited with status 7
}

// The slave serves its sandboxes over HTTP, here under the host program's own mux.
func ExampleSlave_Handler() {
	masters, stopMaster := startMaster()
	defer stopMaster()
	dir := tempDir()
	defer os.RemoveAll(dir)
	s, err := slave.New(slave.Config{Masters: masters, WorkDir: dir, Listen: "none", Resources: resource.Must("cpus:1;mem:64")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer run(s.Run)()
	mux := http.NewServeMux()
	mux.Handle("/slave/", http.StripPrefix("/slave", s.Handler()))
	host := httptest.NewServer(mux)
	defer host.Close()

	task := offer.Task{ID: "t-1", Resources: resource.Must("cpus:1;mem:32"), Command: &offer.Command{Shell: true, Value: "echo hello"}}
	id := runTask(masters, task, func(offer.Status) {})
	path := "/slave/files/read?offset=0&path=" + url.QueryEscape("/frameworks/"+string(id)+"/tasks/t-1/stdout")
	answer, err := host.Client().Get(host.URL + path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	fmt.Println(answer.StatusCode, strings.TrimSpace(string(text)), err)
	// Output:
	// t-1 TASK_RUNNING
	// t-1 TASK_FINISHED
	// 200 {"data":"hello\n","offset":0} <nil>
}

// What cannot work is refused before anything is opened or started: the field, its value, and what is allowed.
func ExampleConfig_Validate() {
	cfg := slave.Config{WorkDir: "/var/lib/meros", Masters: []string{"10.0.0.1"}, PingTimeout: -time.Second}
	fmt.Println(cfg.Validate())
	cfg.Masters = []string{"10.0.0.1:5050"}
	fmt.Println(cfg.Validate())
	// Output:
	// slave: config: Masters[0] is "10.0.0.1" (allowed: host:port)
	// slave: config: PingTimeout is -1s (allowed: more than zero)
}
