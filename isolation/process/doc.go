// Package process is the isolator that is always available: it needs no privilege and no feature of the operating system beyond
// processes. A task gets a session of its own, a private sandbox, a clean environment, no inherited descriptors, basic limits, on
// Linux no way to gain privileges, and, where the slave runs as root, another user.
//
// It also holds what it takes to deal with the processes of others safely: an [ID] that a reused process number does not match,
// and the killing of a whole tree of processes.
package process
