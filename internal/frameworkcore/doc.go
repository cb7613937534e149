// Package frameworkcore is the mind of a framework's session: subscription, the offers at hand, deliveries to the user's handler and their
// acknowledgement, and reconciliation.
//
// A Core is a value that changes only in Step. It has no clock, no I/O and no goroutine; the shell performs the effects in their order and
// reports what came of them as events.
//
// What the user's program may rely on: messages arrive one after the other; an update is delivered once for each UUID where that can be
// known, and again if the handler did not take it over; every launch is answered, also when the offer is gone or the master is away; after
// each subscription the session asks for the state of every task it knows, until it is told.
package frameworkcore
