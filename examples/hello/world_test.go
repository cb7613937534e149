package main

import (
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/framework/frameworktest"
	"github.com/meros-project/meros/offer"
)

// The scheduler that main runs, in fifty simulated clusters. Nothing here listens, sleeps or forks.
func TestHelloIsSaidOnceHoweverOftenTheLeaderDies(t *testing.T) {
	frameworktest.Run(t, frameworktest.Config{
		Seeds:      50, // each is another cluster, and other deaths
		Faults:     frameworktest.LeaderDies | frameworktest.SlowMessages | frameworktest.BrokenConnections,
		FaultEvery: 2 * time.Second, // of virtual time, on average
		Trouble:    2 * time.Minute,
		Runs: func(random *rand.Rand, _ *offer.Task) (time.Duration, offer.Exit) {
			return time.Duration(random.Int64N(int64(time.Minute))), offer.Exit{} // how long "echo" takes, and exit status 0
		},
	}, func() framework.Scheduler { // a fresh one for each run
		return &hello{out: io.Discard, read: func(string) ([]byte, error) { return []byte("hello, cluster\n"), nil }}
	},
		frameworktest.Finished(1),
		frameworktest.NoDuplicateOf(func(offer.TaskID) string { return "hello" }), // whatever the attempt is called
		frameworktest.Ended(),
	)
}
