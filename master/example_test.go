package master_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/raft"
	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/master"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
	"github.com/meros-project/meros/slave"
)

// run runs masters and slaves until stop is called.
func run(nodes ...func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, node := range nodes {
		wg.Go(func() {
			if err := node(ctx); err != nil {
				fmt.Println(err)
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// listen opens n listeners on loopback.
func listen(n int) (listeners []net.Listener, addresses []string) {
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		listeners, addresses = append(listeners, ln), append(addresses, ln.Addr().String())
	}
	return listeners, addresses
}

func tempDir() string {
	dir, err := os.MkdirTemp("", "meros-example-")
	if err != nil {
		panic(err)
	}
	return dir
}

// single runs a master, and a slave of cpus:4;mem:1024 without processes.
func single() (m *master.Master, s *slave.Slave, masters []string, stop func()) {
	dir := tempDir()
	lns, masters := listen(1)
	leads := make(chan uint64, 1)
	m, err := master.New(master.Config{Election: election.Standalone(), Listener: lns[0], Hooks: master.Hooks{Elected: func(reign uint64) { leads <- reign }}})
	if err != nil {
		panic(err)
	}
	s, err = slave.New(slave.Config{Masters: masters, WorkDir: dir, Listen: "none", Runner: &isolationtest.Runner{}, Resources: resource.Must("cpus:4;mem:1024")})
	if err != nil {
		panic(err)
	}
	end := run(m.Run, s.Run)
	<-leads
	return m, s, masters, func() {
		end()
		_ = os.RemoveAll(dir)
	}
}

// Three masters on Raft, here in one process. Leadership is moved to the next one, as before an upgrade of the leader's host.
func Example() {
	dir := tempDir()
	defer os.RemoveAll(dir)
	lns, addresses := listen(3)
	var peers []election.Peer
	for i, address := range addresses {
		peers = append(peers, election.Peer{ID: fmt.Sprint("m", i), Address: address})
	}
	elected := make(chan int, 10)
	electors, masters := make([]*raft.Elector, 3), make([]*master.Master, 3)
	var nodes []func(context.Context) error
	for i := range peers {
		var err error
		electors[i], err = raft.New(raft.Config{Dir: filepath.Join(dir, peers[i].ID), Bootstrap: peers})
		if err == nil {
			masters[i], err = master.New(master.Config{Election: electors[i], Listener: lns[i],
				Hooks: master.Hooks{Elected: func(uint64) { elected <- i }}})
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		nodes = append(nodes, masters[i].Run)
	}
	defer run(nodes...)()

	leader := <-elected
	next := (leader + 1) % 3
	ctx := context.Background()
	fmt.Println("moved:", masters[leader].Transfer(ctx, peers[next].ID), <-elected == next)
	members, err := masters[leader].Members(ctx)
	fmt.Println(len(members), "members", err)
	err = masters[leader].SetWeight(ctx, "web", resource.Units(2)) // of a master that does not lead any more
	fmt.Println("refused:", errors.Is(err, &offer.Refusal{Reason: offer.ReasonNotLeader}))
	// Output:
	// moved: <nil> true
	// 3 members <nil>
	// refused: true
}

// An operator empties a slave before its host is serviced, and takes it back.
func ExampleMaster_Drain() {
	m, slave, masters, stop := single()
	defer stop()

	ctx, launched := context.Background(), false
	err := framework.Run(ctx, framework.Config{Name: "service", Masters: masters}, framework.Funcs{
		OnOffers: func(_ context.Context, s *framework.Session, offers []offer.Offer) error {
			if launched {
				fmt.Println("offered again:", offers[0].Resources)
				return s.Teardown()
			}
			launched = true
			return s.Launch(offers[0], offer.Task{ID: "t-1", Resources: resource.Must("cpus:4;mem:1024"), Command: &offer.Command{Value: "/opt/service"}})
		},
		OnStatus: func(_ context.Context, _ *framework.Session, st offer.Status) error {
			fmt.Println(st.TaskID, st.State)
			switch st.State {
			case offer.Running:
				return m.Drain(ctx, slave.ID(), offer.Drain{MaxGrace: 10 * time.Second})
			case offer.Killed:
				fmt.Println("drained; the host is serviced")
				return m.Reactivate(ctx, slave.ID())
			}
			return nil
		},
	})
	fmt.Println(err)
	// Output:
	// t-1 TASK_RUNNING
	// t-1 TASK_KILLING
	// t-1 TASK_KILLED
	// drained; the host is serviced
	// offered again: cpus:4;mem:1024
	// <nil>
}

// Weights say how roles share, quotas what one is guaranteed and where it ends.
func ExampleMaster_SetQuota() {
	m, _, masters, stop := single()
	defer stop()

	ctx := context.Background()
	limit, err := resource.ParseQuantities("cpus:1.5")
	if err == nil {
		err = m.SetQuota(ctx, "web", resource.Quantities{}, limit)
	}
	if err == nil {
		err = m.SetWeight(ctx, "web", resource.Units(2)) // twice the share of others
	}
	fmt.Println(err)
	err = framework.Run(ctx, framework.Config{Name: "web", Roles: []string{"web"}, Masters: masters}, framework.Funcs{
		OnOffers: func(_ context.Context, s *framework.Session, offers []offer.Offer) error {
			fmt.Println("offered", offers[0].Resources)
			return s.Teardown()
		},
	})
	fmt.Println(err)
	// Output:
	// <nil>
	// offered cpus:1.5;mem:1024
	// <nil>
}

// The master's endpoints become a part of the host program's own HTTP server, behind its own authentication.
func ExampleMaster_Handler() {
	m, slave, _, stop := single()
	defer stop()
	<-slave.Ready()

	mux := http.NewServeMux()
	mux.Handle("/cluster/", http.StripPrefix("/cluster", passwordProtected(m.Handler())))
	host := httptest.NewServer(mux)
	defer host.Close()

	get := func(user string) {
		r, _ := http.NewRequest(http.MethodGet, host.URL+"/cluster/members", nil)
		r.SetBasicAuth(user, "secret")
		answer, err := host.Client().Do(r)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer answer.Body.Close()
		fmt.Println(user, answer.StatusCode, answer.Header.Get("Content-Type"))
	}
	get("operator")
	get("stranger")
	// Output:
	// operator 200 application/json
	// stranger 401
}

func passwordProtected(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "operator" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
