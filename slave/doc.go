// Package slave runs on every machine that has something to offer: it registers with the leading master, runs what it is told to run,
// and reports what becomes of it until somebody has taken note.
//
//	func main() {
//		slave.Supervise(slave.Funcs{"resize": resize})
//		s, err := slave.New(slave.Config{Masters: []string{"10.0.0.1:5050"}, WorkDir: "/var/lib/meros"})
//		...
//		err = s.Run(ctx)
//	}
//
// What is decided is decided in internal/slavecore; this package gives it a clock, a journal, a connection to the leading master, and
// tasks. Everything that the slave must remember is in the journal before anything follows from it. Tasks have supervisors of their
// own that outlive the slave: one that is stopped, or killed, finds its tasks again when it is started on the same work folder.
//
// A task is held to what it has asked for as far as the machine allows: by the isolators that Config.Isolators names, or all that work. On
// Linux as root that includes cgroups, with which a task that asks for no cpus gets a hundredth of one, and for no mem 32 MiB,
// and namespaces: a task sees its own processes only, of the machine's files what it may, and volumes where it wants them. What is
// missing the slave says in one line of its log when it starts, and refuses tasks that need it.
//
// While a task runs, the slave makes its checks and its health check, offer.Task.Check and Health: over TCP and HTTP at 127.0.0.1 of the network
// that the task has, and with commands in its container. It tells results that differ from those before, and kills a task that is unhealthy too
// often. A slave that was restarted begins anew with that. Tasks of custom executors are their executor's to check.
package slave
