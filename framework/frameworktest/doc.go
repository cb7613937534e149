// Package frameworktest runs a scheduler against a simulated cluster: real decisions of masters, slaves and session, but virtual time,
// modelled machines, and faults drawn from a seed. There is no socket and no sleep, so that days pass in a second, and the same seed does
// the same again.
//
//	func TestMine(t *testing.T) {
//		frameworktest.Run(t, frameworktest.Config{Seeds: 20, Slaves: 5}, func() framework.Scheduler { return newMine() },
//			frameworktest.Finished(100), frameworktest.NoDuplicate(), frameworktest.NothingLeft())
//	}
//
// In each of twenty seeds a cluster begins, faults strike for five minutes, everything is healed, and what is expected must come true. A
// failure prints the seed, what was broken, the last events, and the line that runs it again, such as
//
//	go test -run '^TestMine$' example.com/mine -meros.seed=7
//
// Run is for what must hold whatever happens. A test with steps of its own makes a Cluster with New, starts frameworks on it, lets time
// pass, kills the leader, restarts its scheduler, and asks Framework.Expect.
//
// # What a scheduler may do
//
// Handlers are called one at a time on the test's goroutine, and time stands still in them: a scheduler that does everything in its
// handlers needs no lock and no change to run here. The time is Session.Now; what is to be done later is done by Session.After, which is a
// handler too. In production both are the machine's clock. Files, databases and other services belong behind something that the test replaces.
//
// A scheduler that leaves this world fails its test with an explanation. What is found out:
//
//   - a goroutine that lives on when the handler that started it has returned;
//   - a call of the session by any goroutine but the test's;
//   - two runs that differ: Run runs its first seed twice and compares the calls, one by one. The machine's clock stands still in the first
//     run and goes with the virtual time in the second, which is in a bubble of package testing/synctest. So it is found out when what the
//     scheduler says depends on time.Now, time.After, a context's deadline, the order of a map, or a random number;
//   - a handler that sleeps, in the second run.
//
// What is not: a goroutine that has ended before its handler returns and calls nothing, a source of chance that changes nothing in what the
// scheduler says, and for New, which does not run twice, all but the first two points. Run's second run needs a *testing.T that is not in a
// bubble itself; with another testing.TB it is made without a bubble, and clocks are not found out.
package frameworktest
