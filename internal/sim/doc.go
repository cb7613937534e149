// Package sim is the deterministic world: masters, slaves and frameworks made of the real cores, on one goroutine, in virtual time, under
// faults drawn from a seed. A run of the same seed gives the same trace, byte for byte; its hash is compared.
//
// Reading order: world.go (time and trace), run.go (one seed from start to verdict), net.go (connections), log.go (the modelled election and
// its log), master.go, slave.go, runtime.go (containers), framework.go (the modelled user program), faults.go, check.go (what must hold).
//
// What is modelled and what is real: the three cores, the registry and (for part of the seeds) the wire encoding are real; sockets, disks,
// processes, Raft and the user's program are models that may fail at every step.
package sim
