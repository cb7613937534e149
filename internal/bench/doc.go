// Command bench measures the cluster end to end and says whether it is as fast and as small as it is meant to be.
//
//	go run ./internal/bench                     lists the benchmarks and their goals
//	go run ./internal/bench e2e/offer           runs one
//	go run ./internal/bench e2e/offer -rounds 50 -cpuprofile cpu.out
//
// Progress goes to standard error, figures to standard output. The last line of the output is
//
//	NAME key=value ... goal=... met=true
//
// or met=false and exit status 1. A wrong name or flag costs one line and exit status 2.
//
// Masters, slaves and frameworks are the real ones, on loopback TCP, with Raft and journals on disk and fsync on. What is simulated is said
// in the comment of each benchmark: executors that end at once, and, where thousands of slaves are needed, light clients that speak the
// slaves' side of the protocol.
package main
