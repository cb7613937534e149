package discovery_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/discovery"
)

// start runs a member until stop is called.
func start(cfg discovery.Config) (g *discovery.Gossip, stop func()) {
	g, err := discovery.New(cfg)
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = g.Run(ctx) })
	<-g.Ready()
	return g, func() {
		cancel()
		wg.Wait()
	}
}

// A database that is no part of the cluster gossips along with it: it sees who leads, and everybody sees where it is, and when it leaves.
func Example() {
	ctx := context.Background()
	key := []byte("sixteen bytes ok") // from the same secret everywhere
	master, stopMaster := start(discovery.Config{Name: "m-1", Bind: "127.0.0.1:0", Key: key,
		Tags: map[string]string{discovery.TagRole: discovery.RoleMaster, discovery.TagAddress: "10.0.0.1:5050"}})
	defer stopMaster()
	_ = master.Lead(1) // with the reign, from master.Hooks.Elected
	watcher := master.Watch()
	defer watcher.Close()
	all, err := watcher.Next(ctx) // first everybody who is there, then each change
	fmt.Println(all.Kind, len(all.Members), err)

	database, stopDatabase := start(discovery.Config{Name: "pg-1", Bind: "127.0.0.1:0", Key: key, Join: []string{master.Address()},
		Tags: map[string]string{discovery.TagRole: "database", discovery.TagAddress: "10.0.0.9:5432", "shard": "7"}})
	leader, err := database.Detector().Detect(ctx, election.Peer{})
	fmt.Println("leader:", leader.Address, err)

	for {
		e, err := watcher.Next(ctx)
		switch {
		case err != nil:
			fmt.Println(err)
			return
		case e.Kind == discovery.Joined:
			for _, m := range master.Members() {
				fmt.Println(m.Name, m.State, m.Tags[discovery.TagRole], m.Tags[discovery.TagAddress])
			}
			stopDatabase()
		case e.Kind == discovery.Gone:
			fmt.Println(e.Member.Name, e.Member.State, "shard", e.Member.Tags["shard"])
			return
		}
	}
	// Output:
	// resync 1 <nil>
	// leader: 10.0.0.1:5050 <nil>
	// m-1 alive master 10.0.0.1:5050
	// pg-1 alive database 10.0.0.9:5432
	// pg-1 left shard 7
}
