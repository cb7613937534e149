// Package fetch brings the URIs of a command into its sandbox before the container's first process starts.
//
// The work is done by a process of its own, a copy of the host program entered through [Main]. Before it looks at anything that a stranger has
// chosen, it becomes the task's user, gives up the means to gain privileges, takes on limits for file sizes, descriptors and processor
// time, and, where the kernel has Landlock, closes every folder to itself but the sandbox, the folders that file URIs may be read from, and
// the few files that names and certificates are looked up in. It ends with the slave, with a kill of the task, and when its time is up.
// Where the slave has control groups it is in one of its own, so that neither its memory nor its processor time is without bound.
//
// Addresses are checked where connections are made, on each hop, so that neither a redirect nor a name that changes its address gets around
// it: loopback, link-local, multicast and metadata addresses are refused unless [Config].Allow has them; a redirect never leads from a public
// address to a private one, nor from https to http. Archives are unpacked by package unpack.
//
// With a cache, tasks of one user that ask for the same URI share one download, whenever they come. The cache is bounded: what no task is
// about to use is thrown out, the longest unused first, and what does not fit is downloaded for the one task. It is emptied when the slave
// starts.
package fetch
