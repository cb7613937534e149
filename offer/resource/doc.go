// Package resource is the algebra of what a cluster shares out: cpus, memory, disk, ports and whatever else a slave declares.
//
// A Resource is an entry: an amount of one name, with the reservations, volume and flags that tell it from other amounts of that
// name. Its value is a Scalar (an integer of thousandths), Ranges or a Set. Resources is a bag of entries in canonical form, and
// adds, subtracts and compares exactly: what was added comes off again without a rest, however often.
//
//	total := resource.Must("cpus:4;mem:8192;ports:[31000-32000]")
//	task := resource.Must("cpus:0.1;mem:64;ports:[31000-31000]")
//	left, ok := total.Sub(task) // cpus:3.9;mem:8128;ports:[31001-32000], true
//
// Two entries add up if they have the same identity (Resource.SameKind). A reservation is part of it: a task that wants cpus
// from wherever they are picks them with Find. Reservations form a stack; each one refines the last and is made for a role below
// the last one's. Only the first can be static, and only dynamic ones are undone. A persistent volume is disk that is taken as a
// whole; a shared one is counted instead, and several tasks may hold it at once.
//
// The text form is that of Mesos' --resources flag; JSON is that of Mesos' v1 API and can say everything. Quantities leaves
// identity out and is what quotas and totals are made of.
//
// Everything here is a value and immutable by convention: no method changes its receiver, results may share memory with their
// arguments, and any number of goroutines may read. Input from outside becomes a canonical value, or an *Error that says which
// field is wrong and what is allowed; there is no input that panics, except for Must. Values that were decoded another way,
// field by field, go through Resources.Validate before anything else is done with them.
//
// The package imports a pure part of the standard library only: it reads no clock, does no I/O and keeps no state.
package resource
