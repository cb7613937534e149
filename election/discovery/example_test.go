package discovery_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/discovery"
)

// A database that is no part of the cluster gossips along with it: everybody sees where it is, and it sees who leads.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	var members sync.WaitGroup
	defer members.Wait()
	defer stop()
	start := func(cfg discovery.Config) *discovery.Gossip {
		g, err := discovery.New(cfg)
		if err != nil {
			panic(err)
		}
		members.Go(func() { _ = g.Run(ctx) })
		<-g.Ready()
		return g
	}
	key := []byte("sixteen bytes ok") // from the same secret everywhere
	master := start(discovery.Config{Name: "m-1", Bind: "127.0.0.1:0", Key: key,
		Tags: map[string]string{discovery.TagRole: discovery.RoleMaster, discovery.TagAddress: "10.0.0.1:5050"}})
	_ = master.Lead(1) // to be called from master.Hooks.Elected, with the reign

	database := start(discovery.Config{Name: "pg-1", Bind: "127.0.0.1:0", Key: key, Join: []string{master.Address()},
		Tags: map[string]string{discovery.TagRole: "database", discovery.TagAddress: "10.0.0.9:5432", "shard": "7"}})
	leader, err := database.Detector().Detect(ctx, election.Peer{})
	fmt.Println("leader:", leader.Address, err)

	watcher := master.Watch() // begins with everybody who is there
	defer watcher.Close()
	for len(master.Members()) < 2 {
		if _, err := watcher.Next(ctx); err != nil {
			fmt.Println(err)
			return
		}
	}
	for _, m := range master.Members() {
		fmt.Println(m.Name, m.State, m.Tags[discovery.TagRole], m.Tags[discovery.TagAddress], m.Tags["shard"] == "7")
	}
	// Output:
	// leader: 10.0.0.1:5050 <nil>
	// m-1 alive master 10.0.0.1:5050 false
	// pg-1 alive database 10.0.0.9:5432 true
}
