// Package isolation says what it means to contain a task.
//
// A [Spec] describes a container: what runs in it and what it may use. An [Isolator] knows one way of holding a container to its
// Spec; a [Chain] composes several. Together they turn the Spec into a [Plan], which says exactly how the first process is
// started. A [Runner] starts containers and tells how they end; the one in isolation/supervisor uses real processes, the one in
// isolation/isolationtest is scripted.
package isolation
