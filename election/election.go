package election

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
)

// Errors that Propose hands to done, and that Run returns.
var (
	// ErrDeposed says that the entry was never committed: this master did not lead, or ceased to before the entry was in its log.
	ErrDeposed = errors.New("election: deposed: the entry was not committed")
	// ErrUnknown says that leadership was lost while the entry was in flight: it may or may not be committed. Repeat it under its
	// idempotency key, in a later reign.
	ErrUnknown = errors.New("election: unknown outcome: leadership was lost while the entry was in flight")
	// ErrTooLarge says that the entry is longer than MaxEntry.
	ErrTooLarge = errors.New("election: entry is longer than the limit of 131072 bytes")
	// ErrDiskStalled is returned by Run when an append or a flush of the log did not return within ten seconds. The goroutine that
	// is stuck in the system call cannot be ended and is the one that outlives Run.
	ErrDiskStalled = errors.New("election: the disk has not answered for 10 s")
)

// MaxEntry is the longest log entry, in bytes. Larger values are cut into chunks by whoever stores them.
const MaxEntry = 128 << 10

// A Peer is one master as others reach it.
type Peer struct {
	ID      string // unique in the cluster, chosen at first start and kept in the data folder
	Address string // host:port
}

// A StateMachine is what every master applies the committed entries to. The three methods that change or read state are called from
// one goroutine at a time.
type StateMachine interface {
	// Apply applies one committed entry. It must be deterministic and must not keep entry. On the master that proposed the entry,
	// result is handed to the proposer's done. An error is final: the elector stops and Run returns it, wrapped with the index;
	// it is meant for entries of a kind this program does not know.
	Apply(index uint64, entry []byte) (result any, err error)
	// Snapshot captures the state at this instant without copying it all; the returned value is written out concurrently with later
	// Apply calls.
	Snapshot() (Snapshot, error)
	// Restore replaces the state by a snapshot written earlier. After an error the state is as before.
	Restore(r io.Reader) error
}

// A Snapshot is an instant of a StateMachine.
type Snapshot interface {
	WriteTo(w io.Writer) (int64, error)
	Release() // called once, when the snapshot is no longer needed
}

// Env is what an Elector gets from the master that runs it.
type Env struct {
	// StateMachine receives the committed entries. Required.
	StateMachine StateMachine
	// Opening returns the entry that opens a reign. The elector proposes it each time this master wins, before it announces the
	// Term; the result of applying it must be the reign as a uint64. Required.
	Opening func() []byte
	// Advertise is the host:port under which the other masters reach this one, and slaves and frameworks find it. Required.
	Advertise string
	// Listener yields the connections that other masters opened to this elector, already told apart from other traffic on the port
	// (and, with TLS, authenticated). Closed by the elector when Run returns. Nil where an elector needs none.
	Listener net.Listener
	// Dial opens such a connection to another master. Nil where an elector needs none.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Logger defaults to none.
	Logger *slog.Logger
}

// An Elector elects one leader among the masters and keeps the log that outlives it. Its methods are safe for concurrent use.
type Elector interface {
	// Run takes part in elections until ctx ends (then it returns nil, having handed leadership over where it can) or until a
	// failure that this master must not survive. It returns when its last goroutine has ended; see ErrDiskStalled. Committed
	// entries reach every master in the same order. Run may be called once.
	Run(ctx context.Context, env Env) error
	// Terms yields a Term each time this master begins to lead, after its opening entry is applied here. A Term that nobody has
	// received is dropped when it ends. Closed when Run returns.
	Terms() <-chan Term
	// Leader reports who leads, as far as this master knows.
	Leader() (Peer, bool)
	// LeaderChanged returns a channel that is closed at the next change of what Leader reports.
	LeaderChanged() <-chan struct{}
}

// A Term is one reign of this master. It ends when leadership is lost or resigned, never to return: the next reign is another Term.
type Term interface {
	// Reign is the number that the opening entry was given: it rises by at least one from leader to leader, for ever.
	Reign() uint64
	// Propose appends entry to the log. It does not block and keeps the order of calls. done is called exactly once, from another
	// goroutine: with the result of Apply, or with ErrDeposed, ErrUnknown or ErrTooLarge. The elector owns entry from then on.
	Propose(entry []byte, done func(index uint64, result any, err error))
	// Done is closed when the reign has ended.
	Done() <-chan struct{}
	// Resign ends the reign and, where it can, hands leadership to another master. It returns when the reign has ended.
	Resign(ctx context.Context) error
}

// A Detector tells who leads, to slaves and frameworks.
type Detector interface {
	// Detect returns the leader as soon as it differs from previous (the zero Peer at first), or ctx's error.
	Detect(ctx context.Context, previous Peer) (Peer, error)
}

// A Member is one master in an elector's configuration.
type Member struct {
	Peer
	Voter  bool // it counts in elections and for commits
	Leader bool // as far as the one who was asked knows
}

// Membership is implemented by electors whose set of masters can change while they run. All calls but Members must be made on the
// leader and return ErrDeposed elsewhere. One change is made at a time.
type Membership interface {
	// Members lists the masters, as far as this one knows.
	Members(ctx context.Context) ([]Member, error)
	// Add makes the master with this id a voter, or gives it a new address.
	Add(ctx context.Context, p Peer) error
	// Remove takes a master out. One that is not among them, or is the last with a vote, is an error.
	Remove(ctx context.Context, id string) error
}

// NonVoters is implemented by electors whose masters may follow the log without a vote: copies in another place, and those that are to have
// a vote once they have caught up, see Membership.Add.
type NonVoters interface {
	Membership
	// AddNonVoter adds a master without a vote. It must be called on the leader and returns ErrDeposed elsewhere. A master that has a
	// vote, or an id or address that is another's, is an error.
	AddNonVoter(ctx context.Context, p Peer) error
}

// Transferer is implemented by electors that can hand leadership to a named master.
type Transferer interface {
	// Transfer makes the master with this id the leader. It must be called on the leader and returns ErrDeposed elsewhere.
	Transfer(ctx context.Context, id string) error
}

// Snapshotter is implemented by electors that keep snapshots and can take one on demand.
type Snapshotter interface {
	// TakeSnapshot returns when a snapshot of everything applied so far is kept. It returns ErrDeposed on a master that does not lead,
	// where only the leader takes snapshots.
	TakeSnapshot(ctx context.Context) error
}
