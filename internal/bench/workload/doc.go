// Package workload drives an allocator with the workloads by which Mesos measures its own (hierarchical_allocator_tests.cpp,
// hierarchical_allocator_benchmarks.cpp, sorter_tests.cpp): the same slaves, frameworks, resources and rounds, at any size.
//
// A workload sends events to any allocator.Allocator that a Maker makes, times each of its phases, and keeps its own books of what is free,
// held and refused. It trusts nothing: every allotment is checked against the books, after every run nothing may be left that somebody
// could have been offered, and shares must be as even as the sizes of offers allow. A Result is of use only with a nil error.
//
// Time stands still but where a workload moves it, so that a run depends on nothing but its events.
package workload
