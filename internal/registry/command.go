package registry

import (
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// An Entry is one log entry: the commands that had queued when it was proposed, in order, under the reign of the leader that proposed
// it. An entry of another reign than the current one is ignored as a whole, but for one that begins with Open.
type Entry struct {
	Reign    uint64
	Commands []Command
}

// A Key makes a command idempotent: the second command with the same key changes nothing and gets the first one's result. Keys are
// remembered for the last MaxKeys commands.
type Key [16]byte

// A Command is one change, with its key.
type Command struct {
	Key Key
	Op  Op
}

// An Op is one of the plain structs below. OpKind is its number on the wire, append-only.
type Op interface{ OpKind() OpKind }

// OpKind numbers the ops.
type OpKind uint8

// The kinds.
const (
	OpOpen OpKind = 1 + iota
	OpAdmitSlave
	OpUpdateSlave
	OpMarkUnreachable
	OpMarkReachable
	OpMarkGone
	OpRemoveSlave
	OpDrainSlave
	OpSlaveDrained
	OpActivateSlave
	OpAdmitFramework
	OpUpdateFramework
	OpCountDown
	OpRemoveFramework
	OpSetRole
	OpPruneSlaves
	OpConfirm
	OpAddToken
	OpUseToken
)

// Open begins a reign: it counts the reign up and, in the first entry of all, fixes the cluster id. Its result carries both.
type Open struct {
	Cluster offer.ClusterID // proposed; the first one wins
	Master  string          // id of the master that begins to lead
	Level   uint32          // feature level of that master
}

// AdmitSlave gives a new slave its id. The result carries it.
type AdmitSlave struct{ Slave offer.Slave }

// UpdateSlave replaces what is known of an admitted slave: address, resources, attributes.
type UpdateSlave struct{ Slave offer.Slave }

// MarkUnreachable notes that a slave does not answer.
type MarkUnreachable struct {
	ID offer.SlaveID
	At time.Time
}

// MarkReachable brings an unreachable slave back, under the same id. A slave that was pruned is admitted again.
type MarkReachable struct{ Slave offer.Slave }

// MarkGone retires a slave id for ever.
type MarkGone struct {
	ID offer.SlaveID
	At time.Time
}

// RemoveSlave forgets a slave that has unregistered.
type RemoveSlave struct{ ID offer.SlaveID }

// DrainSlave sets the wish to empty a slave and deactivates it.
type DrainSlave struct {
	ID    offer.SlaveID
	Drain offer.Drain
}

// SlaveDrained notes that the last task of a draining slave has ended.
type SlaveDrained struct{ ID offer.SlaveID }

// ActivateSlave says whether a slave takes part in offers. Active true ends a drain too.
type ActivateSlave struct {
	ID     offer.SlaveID
	Active bool
}

// AdmitFramework gives a new framework its id. The result carries it.
type AdmitFramework struct{ Framework offer.Framework }

// UpdateFramework replaces a framework's description.
type UpdateFramework struct{ Framework offer.Framework }

// CountDown records how much of their failover time frameworks that are not connected have left. A framework that connects again is
// recorded with Remaining below zero: connected.
type CountDown struct{ Frameworks []Remaining }

// Remaining is one framework's share of a CountDown.
type Remaining struct {
	ID        offer.FrameworkID
	Remaining time.Duration
}

// RemoveFramework retires a framework id.
type RemoveFramework struct{ ID offer.FrameworkID }

// SetRole sets what a role is entitled to, where the pointer is not nil. A weight of 1000 and empty quota remove the role's record.
type SetRole struct {
	Role      string
	Weight    *resource.Scalar // thousandths, above zero
	Guarantee *resource.Quantities
	Limit     *resource.Quantities // kinds that are not named have no limit
}

// PruneSlaves forgets old unreachable and gone slaves.
type PruneSlaves struct{ IDs []offer.SlaveID }

// Confirm changes nothing, not even the memory of keys. That it was committed shows that no later reign had begun when it was proposed.
type Confirm struct{}

func (*Open) OpKind() OpKind            { return OpOpen }
func (*AdmitSlave) OpKind() OpKind      { return OpAdmitSlave }
func (*UpdateSlave) OpKind() OpKind     { return OpUpdateSlave }
func (*MarkUnreachable) OpKind() OpKind { return OpMarkUnreachable }
func (*MarkReachable) OpKind() OpKind   { return OpMarkReachable }
func (*MarkGone) OpKind() OpKind        { return OpMarkGone }
func (*RemoveSlave) OpKind() OpKind     { return OpRemoveSlave }
func (*DrainSlave) OpKind() OpKind      { return OpDrainSlave }
func (*SlaveDrained) OpKind() OpKind    { return OpSlaveDrained }
func (*ActivateSlave) OpKind() OpKind   { return OpActivateSlave }
func (*AdmitFramework) OpKind() OpKind  { return OpAdmitFramework }
func (*UpdateFramework) OpKind() OpKind { return OpUpdateFramework }
func (*CountDown) OpKind() OpKind       { return OpCountDown }
func (*RemoveFramework) OpKind() OpKind { return OpRemoveFramework }
func (*SetRole) OpKind() OpKind         { return OpSetRole }
func (*PruneSlaves) OpKind() OpKind     { return OpPruneSlaves }
func (*Confirm) OpKind() OpKind         { return OpConfirm }

// A Result is what applying one command gives, the same on every master.
type Result struct {
	Err       *offer.Refusal // nil when the change was made, or had been made before under the same key
	Reign     uint64         // of Open
	Cluster   offer.ClusterID
	Slave     offer.SlaveID     // of AdmitSlave
	Framework offer.FrameworkID // of AdmitFramework
}
