// Package allocator decides which framework is offered which resources of which slave.
//
// Allocator is the interface that the master's core uses: events in, allotments out, time as an argument. Hierarchical is the
// implementation: dominant resource fairness (Ghodsi et al., NSDI 2011) over a tree of roles, or a weighted random order (Config.Policy).
// At every level of the tree the child with the lowest weighted dominant share comes first, and among the frameworks of a role the one
// with the lowest share. A slave's free resources go as a whole to the first framework in that order that can use them. Reservations keep
// resources for a role and the roles below it, quota limits bound what a role may hold, quota guarantees keep unreserved resources back
// for roles that have not had theirs.
//
// # Where it differs from Mesos
//
// A slave is tried with the roles that are short of their guarantee and at once with the others, not in two passes over all slaves; the
// headroom makes that come to the same. A role that is short of one kind gets the other kinds with it, as far as headroom and limits
// allow, so that what it is offered can be used. Quotas may be set at every level, and what a role holds of its ancestors' reservations
// counts against its own. Under a limit, what is reserved is offered first, the most refined before the others, and of each kind nothing
// after an entry that does not fit. A shared volume is counted once for each framework of a role, not once for the role. The shared
// volumes of a slave are offered to one framework a run, and to each once until something changes on the slave: its total, attributes or
// activity, a conversion, or something that comes back. Expired filters and freed resources start a run; nothing waits for an interval.
//
// # Who is not asked
//
// A client, that is a framework in a role, is passed over for a slave while the framework is inactive, the role suppressed, the slave
// inactive or not on the whitelist (it then counts neither in headroom nor as free, but it does in the cluster's total), a constraint of
// that role not met, the slave in another region, a scarce kind there that the client has not asked for (each of those that the slave has;
// the capability GPUResources asks for GPUs in every role), or Config.MaxOutstanding allotments of the framework not answered; more of a
// slave that it is being given something of in the same run and role joins that allotment and counts no further. Constraints, in
// offer.Constraint, look at hostname, attributes and domain. A change of any of the three clears the slave's filters.
//
// What it would be offered, by reservations, capabilities, limits and headroom, must contain one of the sets of the minimum allocatable,
// and one of its needs if it has any (Requested), and must not be covered by a filter. Sets are compared with the sum of the scalars of a
// name, whatever their reservation; an empty set is contained in anything. Among the slaves of a run, those on which the sum of the free
// scalars, shared volumes excepted, contains a need of a client that takes part come before those on which it contains none.
//
// # Shares of a slave
//
// With Config.OfferShare one allotment takes of what its client could be offered but for limits and headroom: reserved and revocable entries
// and volumes whole; of any other scalar at most ceil(total*share/1000), where total is what the slave has of it unreserved, GPUs rounded
// up to whole ones; of any other ranges or set the lowest ceil(n*share/1000) values, where n counts all that the slave has of it unreserved.
// If that contains no set of the client's minimum, it is raised to the first set that the whole contains: scalar by scalar in the order of
// the set, entry by entry, GPUs to whole ones. Then the same for its needs. Limits, headroom, the minimum and filters come after that. Who
// has a share of the slave already, from this run, comes after all others, in the same order among themselves; what it gets then joins its
// allotment.
//
// # Quotas that are refused
//
// Without RoleSet.Force, a limit must not be under what the role consumes, outstanding offers included. For each name in the new guarantee
// or the old one, promise(role) is the larger of its guarantee and the sum of promise(child) over its children; at the role that is set
// and at each one above it that has a guarantee of the name, the children's sum must not be over it; and if the new guarantee has the
// name, the sum over all top-level roles must not be over the total of all slaves, active or not. A guarantee over the limit of the same
// role is refused in any case.
//
// # Maintenance
//
// A slave that is planned to be out of service (SlaveUnavailable) is offered as before. Inverse tells which active frameworks hold
// something there, allotted or used, and have not been asked: slaves in the order in which they were added, frameworks in the order of
// their arrival. A framework is asked again when the plan has changed, when what it answered with has lasted, or after it was inactive. A
// slave that is removed has no plan when it is added again.
//
// # Why nothing was offered
//
// Explain answers that for a framework, in a role or all, on a slave or all: it goes the way of a run, on paper, and names all that stands
// in the way and the smallest change that ends each. It keeps nothing and has nothing kept for it.
//
// # Cost
//
// A run looks only at what has changed. Two sets say what that is: slaves on which anything became free or different, to be tried with
// every framework; and clients (a framework in a role) that may take more than before, to be tried with every slave that has anything
// free. Whatever is in neither set has been tried, and would be refused again. What can turn such a refusal into a taker puts the slave or
// the client back: freed resources, an expired or cleared filter, a revive, a changed role, room under a limit, headroom. When that
// happens in the middle of a run, because reserved resources have met a guarantee, the run goes on with the clients that it lets in.
// Less free, less room and less headroom do not make a refusal a taker, with two exceptions, for which a slave of which something is taken
// is tried with every client: a limit has cut one of several entries of a kind there, or allotments are shares of a slave.
//
// A client that comes back after it was suppressed is tried with the slaves that have changed while it was away, and one that has revived
// offers with those whose filters that drops; all others it has refused already. A role without room for the smallest offer, of anything
// that is neither reserved nor revocable, is left out until there is room. A slave with less than the smallest offer is looked at once.
//
// Shares are integers: floor(2^40 * allocated / total), times 1000 over the weight in thousandths, computed with 128 bits. Orders are lists
// of sorted blocks in which one entry moves at a time. They are computed anew only when the cluster's total has changed, at the next run.
//
// Values of resources are interned: equal slaves share one, with its sums by kind, and what was computed of two values is remembered.
// Values that nothing uses are forgotten from time to time. What grows with slaves times frameworks (filters, verdicts, holdings), and the
// orders, are numbers in pages without pointers. A run that goes on as before takes no memory, and one allotment of a whole slave shares
// the immutable value that the slave has free. At a hundred thousand slaves most of the time goes to waiting for memory; so what a
// run needs of a slave lies in two lines of the cache, and slaves are read ahead, several at once.
//
// # Determinism
//
// Decisions depend on the events, their times and Config.Seed, and on nothing else. Under equal shares the lower number of allotments so
// far comes first, then the framework that arrived earlier or the role whose name is lower (the frameworks in a role count as a child of
// it with its name and "/."); the order of a map decides nothing. A run tries slaves in ascending order of mix64(Config.Seed, runs, seq),
// ties by seq, where seq counts the slaves in the order in which they were added, from 1, and runs counts the runs so far that made an
// allotment. So the order of two slaves does not depend on which others are tried. A filter is over at the very instant at which it
// expires.
//
// The Random policy orders the children of a role, for each slave, by floor(-log2(u) * 2^24 * 1000 / weight), where u comes from
// mix64(Config.Seed, runs, seq, child), by minusLog2; ties as above, without the number of allotments. The child is a framework's place in
// the order of arrival, from 1, or the FNV-1a hash (64 bits) of a role's name; weights are in thousandths, 1000 for frameworks and for the
// frameworks in a role.
package allocator
