// Package supervisor runs containers as real processes that outlive the slave.
//
// Each container has a supervisor: a copy of the host program in a session of its own, started by [Runner] and entered through
// [Main]. The supervisor claims the container's run with a file that can be made only once, starts the first process behind a gate,
// lets it through when the slave has put it under control, waits for it, kills whatever it leaves behind, and writes down how it
// ended before it ends itself. The slave holds a connection to each supervisor: its end is how it learns, without polling, that there
// is a result to read or, if there is none, that the supervisor was killed and what it left must be killed too. A slave that is
// started again connects anew.
//
// A supervisor learns which container is its own over the connection to the slave that started it, so that some can be started ahead. One
// that has no container ends when that slave does. Where supervisors are kept ready, one whose container has simply ended takes another.
//
// On Linux a process of a container begins as a fork of its supervisor, which makes one list of system calls and nothing else until it is the
// program: so its start takes no time to start a program of Go. Elsewhere it is the host program once more, which makes of itself what it can.
//
// On Linux supervisors run from a copy of the host program in sealed memory, made once for each slave process and as large as the program's
// file, so that neither a task nor an upgrade can change what they run; where memory cannot be executed, they run from the file.
//
// A session, such as another command in a running container, is a connection to the container's supervisor too: the command is the supervisor's
// child, is let into the container's cgroups and namespaces, and ends with the connection and with the container.
//
// The first process of a container with namespaces of its own (isolation.Plan.Namespaces) does not become the task but stays, as what the
// system calls init: it makes the container's mounts, starts the task as its child, passes signals on to the task's process group, reaps what
// ends, and tells the supervisor how the task ended. With its end the system ends everything in the container; so a sure kill is a kill of it.
// It is this process whose number is told as the task's, and that a slave finds again.
//
// A container's folder, named by a hash so that its socket's path stays short, holds:
//
//	run           what the supervisor carries out, the first process, and how it ended
//	claim.N       who may start the container in attempt N: a supervisor, another name of run; or nobody, a link that leads nowhere
//	s             the supervisor's socket
//	log           what the supervisor has to say when something is wrong, if anything was
package supervisor
