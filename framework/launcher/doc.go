// Package launcher is a scheduler for everyone: say what should run, and it runs.
//
//	l, err := launcher.New(launcher.Config{OnOutcome: told})
//	err = l.Submit(launcher.Task{Task: offer.Task{ID: "web-1", Resources: resource.Must("cpus:1;mem:256"), Command: serve},
//		Set: "web", Ports: 1, Constraints: []launcher.Constraint{{Field: "rack", Op: launcher.GroupBy}}})
//	err = l.Run(ctx, framework.Config{Name: "web", Masters: masters})
//
// A [Launcher] is a framework.Scheduler. It keeps what waits by priority, matches it with offers (policies Spread, BestFit and Pack; constraints with
// Marathon's operators; ports asked for by number or by count), asks for offers when something waits and stops them when nothing does, holds
// no offer that it will not use, tries again what has failed or was lost, follows a kill until the task has ended, replaces tasks whose slaves do not
// answer, and explains in a sentence what every task waits for. A [Group] runs as a whole or not at all, across slaves.
//
// # What it promises
//
//   - A task has at most one live attempt, but for one that was given up as unreachable and is killed if it comes back; with Unreachable.Replace
//     of Wait it never has two. An attempt has an id of its own, the task's with ".2" and so on behind it.
//   - Before an attempt is launched, [Config.OnOutcome] is told of it. When that has returned nil, what it has written down is enough to come back:
//     a program that starts again submits what had not been launched and adopts what had been, with the Placed it was told.
//   - Outcomes are told one at a time, in order, and again and again until OnOutcome returns nil. What the cluster has said is acknowledged to it after
//     that, so that no end of a task is lost with the process.
//   - Everything is bounded: tasks, offers, what waits to be told, and the work of one step.
//
// The decisions are those of package core, which has neither clock nor I/O; the types of what can be asked for are defined there.
//
// In a simulated cluster (framework/frameworktest) a Launcher is used like any scheduler.
package launcher
