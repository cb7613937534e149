// Package runloop is the one loop that runs a pure core: a bounded inbox, one timer, Step, perform.
//
// The master, the slave and the framework session are each a core and a [Loop]. The loop is the only place that reads the clock for
// their decisions, and it is what a recording is taken from: the sequence of (time, event) is a core's whole input.
package runloop
