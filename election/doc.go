// Package election says who leads, and keeps the log that only the leader may append to.
//
// An [Elector] is run by every master; a [Detector] is what slaves and frameworks ask. This package holds the contracts and
// [Standalone], the elector of a cluster with one master. Consensus lives in election/raft, gossip in election/discovery, and what uses a
// ZooKeeper ensemble instead in election/zookeeper. election/electiontest checks any elector.
package election
