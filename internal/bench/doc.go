// Command bench measures the cluster end to end, and its allocator alone, and says whether they are as fast and as small as they are meant
// to be.
//
//	go run ./internal/bench                     lists the benchmarks and their goals
//	go run ./internal/bench e2e/offer           runs one
//	go run ./internal/bench e2e/offer -rounds 50 -cpuprofile cpu.out
//	go run ./internal/bench alloc/decline -slaves 10000 -frameworks 1000 -rounds 2000
//
// Progress goes to standard error, figures to standard output. The last line of the output is
//
//	NAME key=value ... goal=... met=true
//
// or met=false and exit status 1. A wrong name or flag costs one line and exit status 2.
//
// The allocator's benchmarks (alloc/...) run the workloads of package workload, which check every result, and compare with the plain allocator
// of package refalloc in the same process, one after the other. They print the time of each phase in milliseconds.
//
// In the others, masters, slaves and frameworks are the real ones, on loopback TCP, with Raft and journals on disk and fsync on. What is simulated is said
// in the comment of each benchmark: executors that end at once, and, where thousands of slaves are needed, light clients that speak the
// slaves' side of the protocol.
package main
