// Package registry is what a cluster remembers when its leader dies: the slaves that were admitted, those that are unreachable, gone or
// draining, the frameworks with the rest of their failover time, the roles with their weights and quotas, and the cluster's identity.
//
// State.Apply is a pure function of the log: every master that applies the same entries has the same state and computes the same
// results (L5). What an entry may hold is bounded by constants of this package, so that each master refuses the same ones. A View is
// a snapshot that costs nothing to take and may be read by any goroutine while the state moves on; View.Export streams it as plain
// records and Import makes the same state of them again (L6).
//
// Reading order: command.go (what can be changed), record.go (what is kept), state.go and apply.go, view.go, export.go.
package registry
