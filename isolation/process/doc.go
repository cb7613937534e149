// Package process is the isolator that is always available: it needs no privilege and no feature of the operating system beyond
// processes. A task gets a session of its own, a private sandbox, a clean environment, no inherited descriptors or signal settings, basic
// limits, and, where the slave runs as root, another user. On Linux it gets no capability and no way to gain privileges, and a filter of system
// calls answers what no ordinary program asks for ([DeniedCalls]) with "operation not permitted"; a program for another architecture is ended
// by SIGSYS. A slave that is not root cannot keep tasks from what it can do itself to its own user's files and processes.
//
// It also holds what it takes to deal with the processes of others safely: an [ID] that a reused process number does not match,
// and the killing of a whole tree of processes.
package process
