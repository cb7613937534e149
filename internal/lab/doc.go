// Package lab runs a cluster on many hosts that are none: each node has a network namespace with an address of its own, all of them hang on one
// bridge, and the bridge can be told to part them. Three masters and five slaves are processes of the real binary, two frameworks are processes
// of the program that runs the lab. A seed gives a list of faults; after each of them the lab waits until there is one leader, every
// slave and every task is back, and compares what the frameworks were told with what the tasks themselves have noted: none may be lost, none
// may have been started twice.
//
//	go run ./internal/lab/run -seed 1 -time 5m
//
// It needs Linux, root, iproute2 and nftables. Nothing of it touches the machine's own network: the bridge has a namespace too, and whoever
// wants to talk to a node does so from inside. What it makes (namespaces, processes, cgroups, mounts, one folder in /tmp) has the process id in
// its name, is removed at the end, and if that was prevented, by the next lab.
package lab
