// Package meros is the front page of a library for building resource-scheduling clusters.
//
// A cluster has masters, slaves and frameworks. Slaves tell the leading master what they have; the master offers it to frameworks, fairly;
// frameworks decide what to run on it and the slaves run that, in isolation. This split, two-level scheduling, is that of Apache Mesos.
// Here it is a set of packages that a Go program imports. Masters elect a leader and remember through Raft, inside the same process:
// there is no other system to run.
//
// It is not a container platform: there is no image registry, no overlay network, no desired state in a database. It decides who may use
// which machine, starts processes there, tells the truth about them, and survives the death of any of its own parts.
//
// # Packages
//
// In the order in which a newcomer may want to read:
//
//   - offer, offer/resource: the vocabulary. What is offered, launched and reported.
//   - framework: write a scheduler. Three methods: Subscribed, Offers, Status. framework/executor: write an executor.
//   - master, slave: embed the other two parts. election, election/raft, election/zookeeper, election/discovery: who leads, and how it is found.
//   - isolation: what it means to contain a task.
//   - internal/mastercore, with testdata/hello.txt: how the master thinks. Then mastercore/core.go and master/master.go.
//
// The examples of each package are its tutorial: they run as tests, with real masters and slaves on loopback.
//
// # The life of one task
//
// What happens between a slave's first message and the moment when everybody has forgotten the task:
//
//  1. The slave registers. The leader's core does not know it, so it proposes AdmitSlave; once a majority of masters has that on
//     disk, and only then, the slave is told its id.
//  2. The allocator gives the slave's free resources to the framework that is furthest below its fair share. The core writes an
//     offer into its book and sends it. Scheduler.Offers is called.
//  3. The framework accepts with a Launch. The core checks it against the offer, uses the offer up, counts the task as staging, gives
//     the rest back to the allocator and sends the launch to the slave.
//  4. The slave writes the task to its journal. When that is on disk, and only then, it starts the task. Launches that arrive together share
//     one flush. The task's supervisor is a process of its own: it outlives the slave.
//  5. The slave reports TASK_RUNNING with an id of its own, and keeps the report, on disk, until the framework has acknowledged it:
//     it goes through the master to Scheduler.Status, and a nil from there is the acknowledgement.
//  6. The task exits. TASK_FINISHED takes the same way. The master gives the resources to the next framework as soon as it sees the
//     report; slave and master forget the task when it is acknowledged.
//
// Whatever dies on this way, the task does not get lost: what the masters must know is in their log; what runs is known by the slaves,
// which tell the next leader.
//
// # Determinism
//
// Everything that decides (the cores of master, slave and framework session, the allocator, the registry) is pure: events in, effects
// out, the time as an argument, no goroutine, no clock, no randomness but from a seed. The same events give the same effects, byte for
// byte. Shells around the cores do the input and output. It is why a whole cluster runs in one goroutine with simulated time, faults
// included, and why a bug found there comes with a seed that shows it again.
package meros
