// Package allocator decides which framework is offered which resources of which slave.
//
// Allocator is the interface that the master's core uses: events in, allotments out, time as an argument. Hierarchical is the
// implementation: dominant resource fairness (Ghodsi et al., NSDI 2011) over a tree of roles. At every level of the tree the child with the
// lowest weighted dominant share comes first, and among the frameworks of a role the one with the lowest share. A slave's free
// resources go as a whole to the first framework in that order that can use them. Reservations keep resources for a role and the roles
// below it, quota limits bound what a role may hold, quota guarantees keep unreserved resources back for roles that have not had theirs.
//
// # Where it differs from Mesos
//
// A slave is tried with the roles that are short of their guarantee and at once with the others, not in two passes over all slaves; the
// headroom makes that come to the same. A role that is short of one kind gets the other kinds with it, as far as headroom and limits
// allow, so that what it is offered can be used. Quotas may be set at every level, and what a role holds of its ancestors'
// reservations counts against its own. Under a limit, what is reserved is offered first, the most
// refined before the others, and of each kind nothing after an entry that does not fit. A shared volume is counted once for each framework
// of a role, not once for the role. The shared volumes of a slave are offered to one framework a run, and to each once until something changes
// on the slave: its total, attributes or activity, a conversion, or something that comes back. Expired filters and freed resources start a run; nothing
// waits for an interval.
//
// # Cost
//
// A run looks only at what has changed. Two sets say what that is: slaves on which anything became free or different, to be tried with
// every framework; and clients (a framework in a role) that may take more than before, to be tried with every slave that has anything
// free. Whatever is in neither set has been tried, and would be refused again. What can turn such a refusal into a taker puts the
// slave or the client back: freed resources, an expired or cleared filter, a revive, a changed role, room under a limit, headroom. When
// that happens in the middle of a run, because reserved resources have met a guarantee, the run goes on with the clients that it lets in.
//
// Shares are integers: floor(2^40 * allocated / total), times 1000 over the weight in thousandths, computed with 128 bits. Orders are
// sorted slices in which one entry moves at a time. They are computed anew only when the cluster's total has changed, at the next run.
//
// # Determinism
//
// Decisions depend on the events, their times and Config.Seed, and on nothing else. Under equal shares the lower number of allotments so
// far comes first, then the framework that arrived earlier or the role whose name is lower (the frameworks in a role count as a child of
// it with its name and "/."); the order of a map decides nothing. A run tries slaves in ascending order of mix64(Config.Seed, runs, seq), ties by seq, where seq
// counts the slaves in the order in which they were added, from 1, and runs counts the runs so far that made an allotment. So the order of two
// slaves does not depend on which others are tried. A filter is over at the very instant at which it expires.
package allocator
