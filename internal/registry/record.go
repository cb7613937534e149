package registry

import (
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// SlaveState is where a slave stands in the registry.
type SlaveState uint8

// The states of a slave.
const (
	SlaveAdmitted SlaveState = iota
	SlaveUnreachable
	SlaveGone
)

// A SlaveRecord is all that outlives a leader about a slave. Immutable once read.
type SlaveRecord struct {
	Slave    offer.Slave
	State    SlaveState
	Since    time.Time // of unreachable and gone
	Inactive bool
	Drain    *offer.Drain
	Drained  bool
}

// A FrameworkRecord is all that outlives a leader about a framework. Immutable once read.
type FrameworkRecord struct {
	Framework offer.Framework
	Connected bool
	Remaining time.Duration // failover time left when it was last recorded
}

// A RoleRecord is what a role is entitled to. Immutable once read.
type RoleRecord struct {
	Role      string
	Weight    resource.Scalar
	Guarantee resource.Quantities
	Limit     resource.Quantities
}

// A Header opens an export: the counters and the identity.
type Header struct {
	Cluster       offer.ClusterID
	Reign         uint64
	Master        string // that opened the reign
	Level         uint32 // feature level of that master
	NextSlave     uint64 // number of the newest slave id
	NextFramework uint64 // number of the newest framework id
	Commands      uint64 // how many commands have been applied; numbers the keys
	Tokens        []Token
}

// A GoneRecord is the number of a gone slave that was pruned.
type GoneRecord struct{ Number uint64 }

// A KeyRecord is one remembered idempotency key, with its command's place in the history and its result.
type KeyRecord struct {
	Seq    uint64
	Key    Key
	Result Result
}

// A Trailer closes an export. Its counts must match what came before it, so that a torn snapshot is never taken for a whole one.
type Trailer struct{ Slaves, Gone, Frameworks, Roles, Keys int }

// A Record is one item of an export: a pointer to Header, SlaveRecord, GoneRecord, FrameworkRecord, RoleRecord, KeyRecord or Trailer, in
// this order. RecordKind is its number on the wire, append-only.
type Record interface{ RecordKind() RecordKind }

// RecordKind numbers the records of an export.
type RecordKind uint8

// The kinds of record.
const (
	RecordHeader RecordKind = 1 + iota
	RecordSlave
	RecordGone
	RecordFramework
	RecordRole
	RecordKey
	RecordTrailer
)

// RecordKind implements Record, here and below.
func (*Header) RecordKind() RecordKind          { return RecordHeader }
func (*SlaveRecord) RecordKind() RecordKind     { return RecordSlave }
func (*GoneRecord) RecordKind() RecordKind      { return RecordGone }
func (*FrameworkRecord) RecordKind() RecordKind { return RecordFramework }
func (*RoleRecord) RecordKind() RecordKind      { return RecordRole }
func (*KeyRecord) RecordKind() RecordKind       { return RecordKey }
func (*Trailer) RecordKind() RecordKind         { return RecordTrailer }
