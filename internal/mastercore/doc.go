// Package mastercore is the master's mind: it decides who is admitted, who is offered what, what an accepted offer starts, and what each
// framework is told. It is pure: a Core has no clock, goroutine, lock or random source; Core.Step takes one event and returns effects
// that a shell performs, in order.
//
// Rules that hold after every Step are numbered as in the project's list of invariants (R1, T2, L2 ...) and checked by Core.Check.
//
// Reading order: testdata/hello.txt (one task's whole life), event.go (what goes in and comes out), core.go, slave.go, framework.go,
// offer.go, accept.go, status.go, reconcile.go, partition.go.
package mastercore
