// Package cgroup is the isolator that holds containers to their resources with the control groups of Linux: cpu time, memory, swap,
// the number of processes and, with version 1, devices. It also counts what a container uses, and ends everything in it for sure.
//
// It is written by hand on plain files and not on a library such as opencontainers/cgroups: containment is this project's own business, what
// it takes are a few dozen reads and writes, a made-up tree can stand in for the kernel's in tests, and the binary stays free of a
// bus client and of a second logger.
//
// Version 1, version 2 and both beside each other are found by looking at what is mounted; each controller is used where it is. Every
// container has one cgroup in each hierarchy that is used, ROOT/SLAVE.CONTAINER, whose name follows from the container's id alone:
//
//	                  version 1                              version 2
//	requested cpus    cpu.shares, 1024 a cpu                 cpu.weight, 100 a cpu
//	limit of cpus     cpu.cfs_quota_us in 100 ms             cpu.max in 100 ms
//	requested mem     memory.soft_limit_in_bytes             memory.low
//	limit of mem      memory.limit_in_bytes                  memory.max
//	swap              memory.memsw.limit_in_bytes            memory.swap.max
//	processes         pids.max                               pids.max
//	devices           devices.allow                          not held to
//	a sure kill       freezer.state                          cgroup.kill
//
// The members of a group are nested: ROOT/SLAVE.+GROUP/SLAVE.CONTAINER is held to limits of its own, and
// ROOT/SLAVE.+GROUP/shared/SLAVE.CONTAINER has none but is counted and killed alone, while "shared" is held to the sum. The group's own
// cgroup bounds nothing; it has the group's part when there is not enough for all.
//
// A limit that a task does not set is what it has requested. The bound on memory is never below 32 MiB, and is only raised while a
// container runs: lowering it would end what was within its rights a moment ago.
package cgroup
