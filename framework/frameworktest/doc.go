// Package frameworktest runs a scheduler against a simulated cluster: real decisions of masters, slaves and session, but virtual time,
// modelled machines and faults drawn from a seed. An hour of a cluster of 200 slaves takes a few seconds, and the same seed does the same
// again.
//
//	c := frameworktest.New(t, frameworktest.Config{Seed: 7, Slaves: 200})
//	f := c.Start(framework.Config{Name: "mine"}, scheduler)
//	c.Trouble(5 * time.Minute)
//	c.Until(time.Hour, func() bool { return scheduler.done() })
//
// Handlers are called on the test's goroutine while the cluster runs, so that a scheduler needs no lock here; one that starts goroutines
// or asks for the real time is outside the simulation, and its runs do not repeat. A violation of the cluster's own invariants fails the
// test with the seed.
package frameworktest
