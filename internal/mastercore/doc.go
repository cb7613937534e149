// Package mastercore is the master's mind: it decides who is admitted, who is offered what, what an accepted offer starts, and what each
// framework is told. It is pure: a Core has no clock, goroutine, lock or random source; Core.Step takes one event and returns effects
// that a shell performs, in order.
//
// Rules that hold after every Step are numbered as in the project's list of invariants (R1, T2, L2 ...) and checked by Core.Check.
//
// What a master knows it says at once. What it does not know, such as a task that a framework asks for (reconciliation), may have come into
// being under a later leader: that something is not there, or that a lease has run out, it says only when a commit has shown that it leads
// (confirm.go, question.go). All that waits for that shares one commit.
//
// Reading order: testdata/hello.txt (one task's whole life), event.go (what goes in and comes out), core.go, slave.go, framework.go,
// offer.go, accept.go, status.go, reconcile.go, confirm.go, partition.go.
package mastercore
