// Package namespace is the isolator that gives containers a view of their own of the machine with the namespaces of Linux.
//
// A container has its own processes: it sees no others, the first of them is an init that passes signals on and reaps orphans, and when that
// ends the kernel ends whatever is left. It has its own mounts: /proc shows its processes, without what tells about the kernel, and
// with the machine's settings read-only, as all of /sys with its control groups is; /dev/shm is its own. It has its own shared memory,
// semaphores and message queues, and its own host name, which is the machine's unless the task names one; and, for a task that asks for it, its own network, which is a loopback.
//
// With a root folder of its own (isolation.Plan.Rootfs) it sees nothing else of the machine's files: /dev has what every program needs, its
// sandbox is at isolation.SandboxPath, where MESOS_SANDBOX tells, and /etc/resolv.conf and /etc/hosts are the machine's; with a host name of its own, /etc/hostname and
// /etc/hosts say that one, too.
//
// Volumes are mounted where the task wants them: paths of the machine below Config.HostPaths, paths in the sandbox, persistent volumes, and
// secrets, which are files in memory of mode 0400. A secret is part of the task's description: like the environment of a command, it is on
// disk where that is, in the slave's journal and in the supervisor's folder, and in a master's recording where it makes one: in plain text, in
// files that only the slave's or the master's user can read, and nowhere else.
//
// Whatever a stranger may have put into a root folder or a sandbox leads nowhere: paths of the container are looked up with openat2 inside
// its root, or below its sandbox without following links, and mounts are made on open descriptors and not on names.
//
// All of it goes with the container's last process: the isolator keeps nothing on the machine, and has nothing to clean up or to recover.
package namespace
