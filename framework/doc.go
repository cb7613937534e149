// Package framework is the SDK for schedulers: a program that is offered resources, decides what runs on them, and is told what becomes
// of it.
//
// Implement [Scheduler], fill in a [Config], and call [Run]:
//
//	err := framework.Run(ctx, framework.Config{Name: "hello", Masters: []string{"10.0.0.1:5050"}}, scheduler)
//
// The session finds the leading master, subscribes, comes back after every lost connection under the same id, asks for the state of all its
// tasks each time (reconciliation), and acknowledges a status when the handler has returned nil. What a program must remember to
// survive its own death is the id it is told in Subscribed ([Session.ID], for Config.ID) and its tasks.
//
// A Scheduler that has the methods of [Rescinder], [OperationReceiver], [FailureReceiver], [MessageReceiver], [Disconnecter] or
// [ErrorReceiver] is told of more. [Funcs] is a Scheduler without a type of its own; embed it in a struct to add such methods.
//
// A scheduler that asks [Session.Now] for the time, and does later what it must by [Session.After], can be run through days of virtual time in a
// simulated cluster under faults: see package framework/frameworktest.
package framework
