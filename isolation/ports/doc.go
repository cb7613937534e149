// Package ports is the isolator that finds out which TCP ports the processes of a container listen on, and tells of those that are not among
// its ports resource: in the log, once for each port, or, with Config.Enforce, by having the container killed.
//
// Ports matter where containers share the slave's network namespace. The kernel's list of that namespace's listening sockets is compared with
// the descriptors of the container's processes: all that descend from its supervisor, also what has left the session of the task. A process
// in another network namespace is left alone, because its ports are nobody else's.
//
// All containers are looked at in the same moment, every Config.Every, so that one look at the machine's processes serves them all. A
// socket that is opened and closed between two looks is not seen. At most 262,144 descriptors of a container are looked at in one go, from
// another process on each time. Sockets of other protocols are not looked at. Linux only.
package ports
