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
// A task may say how its slave is to look after it: offer.Task.Check has a command, an HTTP address or a port looked at again and again, and
// the results told in Status.Check; offer.Task.Health tells in Status.Healthy, and has a task killed that is not well too often in a row. Both
// come as further statuses of TASK_RUNNING, with Reason TASK_CHECK_STATUS_UPDATED and TASK_HEALTH_CHECK_STATUS_UPDATED.
//
// A scheduler that asks [Session.Now] for the time, and does later what it must by [Session.After], can be run through days of virtual time in a
// simulated cluster under faults: see package framework/frameworktest.
package framework
