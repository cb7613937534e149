package mastercore

import (
	"cmp"
	"time"

	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
)

// DefaultMaxOffers is the default of Config.MaxOffers, and what the allocator is to be told as its MaxOutstanding.
const DefaultMaxOffers = 20_000

// Config is all that a Core starts from. Allocator and Registry must be set; a zero in any other field means its default.
type Config struct {
	MasterID  string              // of this master, for Describe and for people
	ClusterID offer.ClusterID     // defaults to the registry's
	Reign     uint64              // defaults to the registry's
	Allocator allocator.Allocator // fresh; the core owns it from now on
	Registry  *registry.View      // as it was when the reign began
	Seed      uint64              // of the hash of task ids, so that no stranger can choose ids that collide

	// PingInterval is the time between pings of a slave, PingMisses how many may go unanswered before it is marked unreachable.
	// Default to 15 s and 5.
	PingInterval time.Duration
	PingMisses   int
	// ReregisterTimeout is how long a slave may stay away after its connection broke or a new leader came. Defaults to 10 min.
	ReregisterTimeout time.Duration
	// ResubscribeTimeout is the least time that frameworks have to come to a new leader, whatever their failover timeout. Defaults to 1 min.
	ResubscribeTimeout time.Duration
	// OfferTimeout is how long an offer may go unanswered. Defaults to 2 min; negative means for ever.
	OfferTimeout time.Duration
	// MinRefuse is the shortest time for which a framework is not offered again what it has just declined as a whole, whatever its filter
	// says: the time in which others have a look, who would never be asked by a sharing that puts the least share first. Defaults to 5 ms.
	MinRefuse time.Duration
	// Heartbeat is the longest silence on a framework's connection. Defaults to 15 s.
	Heartbeat time.Duration
	// CountDownInterval is how often the failover time left of frameworks that are away is recorded. Defaults to 2 s; longer for those
	// with much time left.
	CountDownInterval time.Duration
	// RetryDelay and MaxRetries say how often a write that was not committed is proposed again under its key before the master resigns.
	// Default to 1 s and 5.
	RetryDelay time.Duration
	MaxRetries int
	// PruneInterval, PruneAge and PruneCount say when unreachable and gone slaves leave the registry. Default to 15 min, two weeks, 102,400.
	PruneInterval, PruneAge time.Duration
	PruneCount              int

	// The brake: while more than BrakePercent of at least BrakeMinimum slaves are silent, a master assumes that the fault is its own and
	// marks none unreachable for BrakeHold; then at most a twentieth of them each PingInterval. Default to 50, 5 and 10 min.
	BrakePercent, BrakeMinimum int
	BrakeHold                  time.Duration
	// QuotaPercent of the known slaves must be back after an election before roles with a quota get offers. Defaults to 80.
	QuotaPercent int

	// Bounds. Passing one is refused with ReasonLimitReached or ReasonTooLarge.
	MaxOffers              int // outstanding for one framework; defaults to DefaultMaxOffers
	MaxTasks               int // live, of one framework; defaults to 500,000
	MaxCompletedTasks      int // remembered for each framework; defaults to 1,000
	MaxCompletedFrameworks int // remembered; defaults to 50
	MaxAcceptTasks         int // in one accept; defaults to 10,000
	MaxTaskBytes           int // of one task's description; defaults to 1 MiB
	MaxLaunchBytes         int // of one message with tasks to a slave; defaults to 2 MiB
	MaxLabels              int // of one task; defaults to 256
	MaxSlaveTasks          int // reported by one slave; defaults to 50,000
	MaxRemembered          int // kills and operations remembered for one slave; defaults to 10,000
	MaxProposals           int // under way; defaults to 50,000
	MaxParts               int // of one message in parts; defaults to 1,000
	MaxPartBytes           int // of all parts of one message so far, about; defaults to 128 MiB
	MaxReconcile           int // tasks answered in one step of a long reconciliation; defaults to 1,000
	MaxQuestions           int // about what the master does not know, of one framework; one too many is not answered; defaults to 100,000
	MaxAllQuestions        int // likewise of all frameworks; defaults to 500,000
}

func (c Config) withDefaults() Config {
	c.ClusterID = cmp.Or(c.ClusterID, c.Registry.ClusterID())
	c.Reign = cmp.Or(c.Reign, c.Registry.Reign())
	c.PingInterval = cmp.Or(c.PingInterval, 15*time.Second)
	c.PingMisses = cmp.Or(c.PingMisses, 5)
	c.ReregisterTimeout = cmp.Or(c.ReregisterTimeout, 10*time.Minute)
	c.ResubscribeTimeout = cmp.Or(c.ResubscribeTimeout, time.Minute)
	c.OfferTimeout = cmp.Or(c.OfferTimeout, 2*time.Minute)
	c.MinRefuse = cmp.Or(c.MinRefuse, 5*time.Millisecond)
	c.Heartbeat = cmp.Or(c.Heartbeat, 15*time.Second)
	c.CountDownInterval = cmp.Or(c.CountDownInterval, 2*time.Second)
	c.RetryDelay = cmp.Or(c.RetryDelay, time.Second)
	c.MaxRetries = cmp.Or(c.MaxRetries, 5)
	c.PruneInterval = cmp.Or(c.PruneInterval, 15*time.Minute)
	c.PruneAge = cmp.Or(c.PruneAge, 14*24*time.Hour)
	c.PruneCount = cmp.Or(c.PruneCount, 102400)
	c.BrakePercent = cmp.Or(c.BrakePercent, 50)
	c.BrakeMinimum = cmp.Or(c.BrakeMinimum, 5)
	c.BrakeHold = cmp.Or(c.BrakeHold, 10*time.Minute)
	c.QuotaPercent = cmp.Or(c.QuotaPercent, 80)
	c.MaxOffers = cmp.Or(c.MaxOffers, DefaultMaxOffers)
	c.MaxTasks = cmp.Or(c.MaxTasks, 500000)
	c.MaxCompletedTasks = cmp.Or(c.MaxCompletedTasks, 1000)
	c.MaxCompletedFrameworks = cmp.Or(c.MaxCompletedFrameworks, 50)
	c.MaxAcceptTasks = cmp.Or(c.MaxAcceptTasks, 10000)
	c.MaxTaskBytes = cmp.Or(c.MaxTaskBytes, 1<<20)
	c.MaxLaunchBytes = cmp.Or(c.MaxLaunchBytes, 2<<20)
	c.MaxLabels = cmp.Or(c.MaxLabels, 256)
	c.MaxSlaveTasks = cmp.Or(c.MaxSlaveTasks, 50000)
	c.MaxRemembered = cmp.Or(c.MaxRemembered, 10000)
	c.MaxProposals = cmp.Or(c.MaxProposals, 50000)
	c.MaxParts = cmp.Or(c.MaxParts, 1000)
	c.MaxPartBytes = cmp.Or(c.MaxPartBytes, 128<<20)
	c.MaxReconcile = cmp.Or(c.MaxReconcile, 1000)
	c.MaxQuestions = cmp.Or(c.MaxQuestions, 100000)
	c.MaxAllQuestions = cmp.Or(c.MaxAllQuestions, 500000)
	return c
}
