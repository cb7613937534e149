// Package core is the mind of package launcher: what waits, which offers it gets, and what becomes of it afterwards.
//
// A Core is a value that changes only in Step. It has no clock, no I/O and no goroutine: time is an argument, and package launcher performs the
// effects in their order. What it decides depends on its events only, never on the order of a map.
//
// # Matching
//
// Offers are gathered for a moment and then matched in one run, the most urgent work first. A run puts them into trees whose inner nodes know the most
// that any offer below has of each resource, one tree for all offers of a role and one for each value of an attribute that constraints name.
// A task walks only where something is large enough, and starts where the last one ended, so that what a task costs hardly grows with the
// number of offers. At the end of the run every offer is accepted or declined; only a group that lacks a part keeps what it has found,
// for a bounded time.
//
// Tasks that ask for the same are of one class: when one of them has found no place, the others of its class are not tried in the same run.
package core
