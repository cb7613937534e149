// Package memtransport is a network in memory: for tests, and for clusters that live in one process. Its connections have deadlines, bounded
// buffers and half-closing as TCP has them, wait only on time and on each other (so that they work inside a testing/synctest bubble),
// and can be cut and healed between named endpoints.
package memtransport
