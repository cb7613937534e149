// Package plainraft is hashicorp/raft as its own documentation sets it up: default configuration, log and votes in raft-boltdb, entries over
// TCP. The cluster's elector is measured against it, and nothing else uses it.
package plainraft
