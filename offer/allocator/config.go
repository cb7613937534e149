package allocator

import (
	"math/rand/v2"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// DefaultMaxWork is the default of Config.MaxWork.
const DefaultMaxWork = 1 << 20

// maxKinds is how many names of scalars count in shares; names beyond it, other than those in quotas, are offered but not weighed.
const maxKinds = 256

// maxFiltersPerPair bounds the filters of one framework in one role on one slave; the one that expires first gives way.
const maxFiltersPerPair = 8

// A Config configures a Hierarchical. The zero value is meaningful.
type Config struct {
	// Seed chooses among the orders in which slaves are tried. Any value will do, the default of 0 as well.
	Seed uint64

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
}

// Hierarchical is an Allocator that shares by weighted dominant resource fairness over a tree of roles. New makes one. It is not safe for
// concurrent use, and keeps no reference to what it is given but for resources, which are immutable.
type Hierarchical struct {
	cfg   Config
	kinds kinds
	min   []minSet

	slaves     []*slave // by handle; nil where free
	freeSlave  []int32  // unused handles
	slaveIndex map[offer.SlaveID]*slave
	slaveSeq   uint64

	frameworks   map[offer.FrameworkID]*framework
	frameworkSeq uint64

	clients    []*client // by handle
	freeClient []int32

	root      *role
	roles     []*role // by handle
	freeRole  []int32
	roleIndex map[string]*role

	total vec    // of the cluster, all scalars
	epoch uint64 // counts changes of total

	available vec // unreserved, not revocable, free, on active slaves
	limits    int // roles with a limit
	promises  int // roles with a guarantee
	short     []*role
	shortAt   vec // lowest surplus at which a role in short was cut

	filters filters

	// What the next run has to look at.
	dirty    []int32 // slaves
	woken    []int32 // clients
	withFree []int32 // slaves that have something to offer

	clock   clock
	counter uint64 // runs that had something to look at
	shuffle *rand.PCG
	run     run
}

// New returns an allocator that knows no slave, no framework and no role.
func New(cfg Config) *Hierarchical {
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
		shuffle:    rand.NewPCG(cfg.Seed, 0),
	}
	a.kinds.init(cfg.ExcludeFromFairness)
	a.min = a.compileMin(cfg.MinAllocatable)
	a.root = &role{weight: defaultWeight, handle: -1}
	return a
}

var _ Allocator = (*Hierarchical)(nil)
