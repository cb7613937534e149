// Package synctier has no code, only tests: the second tier of the simulated world. Three master shells with hashicorp/raft and its files, slave
// shells with their journals, and framework sessions run in a bubble of package testing/synctest, with connections in memory and virtual
// time. A seed decides the faults; the schedule is the Go runtime's, so that a run does not repeat.
//
// What the first tier (internal/sim) models is real here: the shells, the election, the wire and the goroutines. What is not: sockets, and
// the processes of tasks. Files are real, and a write takes no virtual time.
//
//	go test ./internal/synctier -seed 7 -seeds 100
package synctier
