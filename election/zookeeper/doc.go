// Package zookeeper is the elector, and the way to find the leader, of a cluster that lives on a ZooKeeper ensemble.
//
//	e, err := zookeeper.New(zookeeper.Config{Address: "zk://user:secret@zk1,zk2,zk3/prod"})
//	d, err := zookeeper.NewDetector(zookeeper.DetectorConfig{Address: "zk://zk1,zk2,zk3/prod"})
//
// Candidates are ephemeral sequential nodes, each of which watches only the one before it. The log is kept in nodes below the path:
//
//	PATH/json.info_N             the leader, ephemeral, in the form that software for Mesos reads
//	PATH/meros                   whose path this is
//	PATH/meros/candidates/c-N    the masters in the order in which they will lead, ephemeral
//	PATH/meros/masters/ID        one for each master that runs, ephemeral
//	PATH/meros/term              its version rises with each leader and fences every write of the one before
//	PATH/meros/log/INDEX         entries, from the one with this index on
//	PATH/meros/snapshots/S/C     chunks of the state after some entry
//	PATH/meros/snapshot          which of the snapshots counts
//
// Servers are reached in plain text, or with Config.TLS by TLS: a secureClientPort of ZooKeeper 3.5 or later. Masters authenticate by digest,
// which is what user and password in the address are for, by a certificate, or by both. SASL (Kerberos, DIGEST-MD5) is not supported.
//
// A leader that has not heard of the ensemble for two thirds of its session's time ends its reign by its own clock, before the session
// can have expired. If the session is still there when a server answers, it opens another reign; an expired one it replaces by a new
// session and goes to the end of the queue. Clocks matter for who leads only: what is written is safe without them.
package zookeeper
