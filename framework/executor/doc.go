// Package executor is the SDK for custom executors: programs that a slave starts once for a framework and that run many of its tasks.
//
//	func main() {
//		cfg, err := executor.FromEnvironment()
//		...
//		err = executor.Run(ctx, cfg, myExecutor{})
//	}
//
// The session keeps what the slave has not taken over yet, and reconnects when the slave was restarted, so that an executor need not
// notice.
//
// Tasks come with their Check and Health as the scheduler has described them. Of tasks that a custom executor runs the slave makes none:
// an executor that does says what it has found in Check and Healthy of an update of TASK_RUNNING.
package executor
