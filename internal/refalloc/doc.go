// Package refalloc is the plain allocator: the same decisions as allocator.Hierarchical, with the data structures that come to mind first.
//
// It has two uses. It is the oracle: the test in this package drives both with the same random events and compares every allotment. And
// it is the denominator: how much faster Hierarchical is means something because this one needs no longer than the allocators that are in
// use.
//
// It keeps only what it is told: what slaves have, who holds what, who refuses what. Each run computes everything else anew (what is
// free, shares, consumption, headroom) and tries every slave with every framework. So it cannot forget to look at something again, which is
// what an incremental allocator gets wrong. It shares no code with Hierarchical but the interface and its events; the rules are those
// that package allocator documents.
package refalloc
