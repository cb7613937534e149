// Package sim is the deterministic world: masters, slaves and frameworks made of the real cores, on one goroutine, in virtual time, under
// faults drawn from a seed. A run of the same seed gives the same trace, byte for byte; its hash is compared.
//
// A run is rounds of trouble and calm. In trouble, the classes of faults that the round has drawn strike at their rates: the network delays,
// cuts, duplicates, reorders across connections and partitions; disks lose, fail, fill up and hang; processes die, also between two effects,
// stand still and come back; leaders are deposed and do not know it; clocks jump and drift; strangers and operators do what they do. Then
// most of the nodes are healed and everything must come to its end in time.
//
// Reading order: world.go (time and trace), run.go (one seed from start to verdict), faults.go and streams.go (the classes, and what a round
// draws; FAULTS.md lists them by the numbers of the catalogue), node.go and clock.go (what nodes have in common), net.go and partition.go
// (connections), log.go (the modelled election and its log), master.go, slave.go, disk.go, runtime.go and executor.go (a machine),
// framework.go and program.go (the modelled user), operator.go, hostile.go. What the later classes of faults do is in netfaults.go,
// processfaults.go, masterfaults.go and manners.go.
//
// What must hold has numbers: R for resources, T for tasks, L for leadership, S for slaves, F for frameworks. history.go and its
// like compare each event with those that it touches; check.go asks the cores for their own, and has the verdict at the end of a round; oversight.go
// knows what a leader may and must say from what was said before. states.go counts the interesting states that a campaign must have reached.
// The files of plants have bugs that the checkers must find, at the one place where cores are made and stepped, construct.go; bank.go has a
// seed for each. shrink.go makes a run that fails smaller, and scenario.go writes it down for testdata/regress.
//
// What is modelled and what is real: the three cores, the registry and (for part of the seeds) the wire encoding are real; sockets, disks,
// processes, Raft and the user's program are models that may fail at every step.
package sim
