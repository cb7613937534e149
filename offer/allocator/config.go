package allocator

import (
	"fmt"
	"slices"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// DefaultMaxWork is the default of Config.MaxWork.
const DefaultMaxWork = 1 << 20

// maxKinds is how many names of scalars count in shares; names beyond it, other than those in quotas, are offered but not weighed.
const maxKinds = 256

// maxFiltersPerPair bounds the filters of one framework in one role on one slave; the one that expires first gives way.
const maxFiltersPerPair = 8

// Bounds of what Config.Validate and Validate let in.
const (
	// MaxScarce bounds Config.Scarce.
	MaxScarce = 32
	// MaxWeight is the largest weight of a role, in thousandths.
	MaxWeight = resource.Scalar(1_000_000_000)
	// MaxNeeds bounds the needs of one Requested.
	MaxNeeds = 16
	// MaxHosts bounds the hosts of a Whitelist.
	MaxHosts = 1 << 20
)

// A Policy orders the frameworks that a slave is offered to.
type Policy uint8

// The policies.
const (
	// DominantShares has the lowest weighted dominant share come first, at every level of the tree of roles.
	DominantShares Policy = iota
	// Random draws an order for each slave, at every level of the tree: who comes first is chosen in proportion to the weights.
	Random
)

// A Config configures a Hierarchical. The zero value is meaningful.
type Config struct {
	// Seed chooses among the orders in which slaves are tried, and those of the Random policy. Any value will do, the default of 0 as well.
	Seed uint64

	// Policy is how frameworks are ordered. Defaults to DominantShares.
	Policy Policy

	// MinAllocatable is the smallest offer worth making: one goes out only if it contains any one of the sets. A framework may override it
	// role by role. A list with one empty set lets every offer that is not empty through. Defaults to cpus:0.01 or mem:32.
	MinAllocatable []resource.Quantities

	// ExcludeFromFairness names scalars that do not count in dominant shares. Defaults to none.
	ExcludeFromFairness []string

	// MaxWork bounds one Run, in frameworks and slaves looked at; the rest is carried over. Defaults to DefaultMaxWork.
	MaxWork int

	// Region is the master's fault domain: slaves in another region are offered to RegionAware frameworks only. Defaults to none, and then
	// no slave is remote.
	Region string

	// GPUsToAll offers slaves with GPUs also to frameworks without GPUResources. Defaults to hiding such slaves from them.
	GPUsToAll bool

	// Scarce names scalars that few slaves have. A slave that has any of one is offered only to frameworks that have asked for it in that
	// role, with a need that has it (Requested). GPUs are scarce unless GPUsToAll says otherwise; GPUResources counts as having asked.
	// Defaults to none but GPUs.
	Scarce []string

	// MaxOutstanding bounds the allotments of one framework that are not Answered. Defaults to 0: no bound, and Answered says nothing.
	MaxOutstanding int

	// OfferShare is what part of a slave's total one allotment may take, in thousandths; see the package comment. Defaults to 0, which is
	// the same as 1000: whole slaves.
	OfferShare resource.Scalar
}

// Validate reports the first field that is not valid: its name, its value and what is allowed.
func (c *Config) Validate() error {
	switch {
	case c.Policy > Random:
		return fmt.Errorf("policy %d: must be 0 (dominant shares) or 1 (random)", c.Policy)
	case c.MaxOutstanding < 0:
		return fmt.Errorf("max outstanding %d: must not be negative", c.MaxOutstanding)
	case c.OfferShare < 0 || c.OfferShare > 1000:
		return fmt.Errorf("offer share %d: must be between 0 and 1000 thousandths", int64(c.OfferShare))
	case len(c.Scarce) > MaxScarce:
		return fmt.Errorf("scarce: %d names (allowed: at most %d)", len(c.Scarce), MaxScarce)
	}
	for i, name := range c.Scarce {
		if err := resource.ValidateName(name); err != nil {
			return fmt.Errorf("scarce: %w", err)
		}
		if slices.Contains(c.Scarce[:i], name) {
			return fmt.Errorf("scarce %q: must not be listed twice", name)
		}
		if name == resource.GPUs && c.GPUsToAll {
			return fmt.Errorf("scarce %q: must not be listed when gpus are for all", name)
		}
	}
	for _, name := range c.ExcludeFromFairness {
		if err := resource.ValidateName(name); err != nil {
			return fmt.Errorf("exclude from fairness: %w", err)
		}
	}
	for _, q := range c.MinAllocatable {
		if err := validateQuantities("min allocatable", q); err != nil {
			return err
		}
	}
	return nil
}

// Hierarchical is an Allocator that shares by weighted dominant resource fairness over a tree of roles. New makes one. It is not safe for
// concurrent use, and keeps no reference to what it is given but for resources, which are immutable.
type Hierarchical struct {
	cfg   Config
	kinds kinds
	min   []minSet

	slaves     []*slave // by handle; nil where free
	slaveSeqs  []uint64 // slave.seq by handle
	freeSlave  []*slave // unused ones
	chunk      []slave  // the last ones made, from handle chunkAt on
	chunkAt    int
	slaveIndex map[offer.SlaveID]*slave
	slaveSeq   uint64

	frameworks   map[offer.FrameworkID]*framework
	frameworkSeq uint64

	clients    []*client // by handle
	freeClient []int32

	root       *role
	roles      []*role // by handle
	freeRole   []int32
	roleIndex  map[string]*role
	roleSerial int32
	roleVecs   vecs
	clientVecs vecs
	ownMins    int // clients with a minimum of their own

	total vec    // of the cluster, all scalars
	epoch uint64 // counts changes of total

	available vec // unreserved, not revocable, free, on active slaves
	limits    int // roles with a limit
	promises  int // roles with a guarantee
	short     []*role
	shortAt   vec // lowest surplus at which a role in short was cut

	lots       lots
	words      slab // filters, verdicts and holdings of slaves
	filters    filters
	maintained maintained
	classes    classes
	whitelist  map[string]bool // nil lets all take part

	scarce     []string // by bit of slave.scarce and client.asked
	needy      []int32  // clients that have needs
	unresolved bool     // some sets name kinds that are not known yet
	resolvedAt int      // the number of kinds at the last resolve

	// What the next run has to look at.
	dirty      []int32 // slaves; may hold some twice, or some that are not dirty any more
	isDirty    bitset
	dirtyCount int
	woken      []int32 // clients; likewise
	wokenCount int
	stirred    []int32 // clients, to be tried with the slaves in again; may hold some twice, or some that are not stirred any more
	again      []int32 // slaves; likewise
	withFree   bitset  // slaves that have something to offer
	freeCount  int
	changes    changes
	wakes      int64  // of roles
	tried      moment // up to when all enabled clients that are neither woken nor stirred were tried

	clock clock
	runs  uint64 // that made an allotment
	run   run
}

// New returns an allocator that knows no slave, no framework and no role. It panics with the error of a Config that is not valid.
func New(cfg Config) *Hierarchical {
	if err := cfg.Validate(); err != nil {
		panic("allocator: " + err.Error())
	}
	if cfg.MinAllocatable == nil {
		cfg.MinAllocatable = []resource.Quantities{
			{{Name: resource.CPUs, Amount: 10}},
			{{Name: resource.Mem, Amount: 32_000}},
		}
	}
	if cfg.MaxWork <= 0 {
		cfg.MaxWork = DefaultMaxWork
	}
	a := &Hierarchical{
		cfg:        cfg,
		slaveIndex: make(map[offer.SlaveID]*slave),
		frameworks: make(map[offer.FrameworkID]*framework),
		roleIndex:  make(map[string]*role),
		epoch:      1,
	}
	a.maintained.next = never
	a.lots.init()
	a.kinds.init(cfg.ExcludeFromFairness)
	a.min = a.compileMin(cfg.MinAllocatable)
	a.scarce = scarceNames(&a.cfg)
	a.root = &role{weight: defaultWeight, handle: -1}
	return a
}

var _ Allocator = (*Hierarchical)(nil)
