package offer

import (
	"fmt"
	"time"
)

// The bounds of Task.Lease.
const (
	MinLease = time.Second
	MaxLease = 12 * time.Hour
)

// LeaseMargin is what a master adds to a lease before it says that it has run out: a tenth, for clocks of different speed, and a second.
func LeaseMargin(lease time.Duration) time.Duration { return lease/10 + time.Second }

// ValidateLease checks Task.Lease: zero, or from MinLease to MaxLease.
//
// # Leases
//
// A task with a lease ends where it runs when the cluster has lost sight of it for that long, so that its framework may start another one
// elsewhere and never have two. Whoever is cut off from a leading master stops its tasks by itself; nobody has to reach it for that.
//
//   - A slave that runs such tasks asks its master for a renewal, four times in the shortest of their leases. The master answers after it has
//     written something to the replicated log, so that a master which has been succeeded, perhaps without knowing, cannot answer.
//   - A renewal counts from when the slave asked, not from when the answer came: what was slow on the way only makes it worth less.
//   - The slave hands the deadline that follows from it to the supervisor of each such task. The supervisor is a process of its own. It
//     ends the task with everything in it at the deadline: whether the slave is there or not, is paused, or was killed, and also when the
//     task still waits to be started. It reads the clock that goes on while the machine is suspended (CLOCK_BOOTTIME): a monotonic one,
//     because a wall clock may be set back, and not CLOCK_MONOTONIC, which would sleep with the machine while others count.
//   - A slave that is killed and started again in time renews, and the tasks go on. A task whose first renewal does not come on the
//     connection that brought its launch is not started at all.
//   - The task ends as TASK_GONE with ReasonLeaseExpired (as TASK_DROPPED if it was never started), which its slave reports when it is back.
//
// The master says so earlier. When it has not renewed for a slave for the lease and LeaseMargin by its own clock, it makes sure that it
// still leads and tells the framework TASK_GONE with ReasonLeaseExpired; the framework needs no clock for it. Until then the task is
// as its slave last reported it, or TASK_UNREACHABLE. A new leader knows of no renewals and counts from its election. It knows of no tasks
// either, until their slaves come back: it answers for those that are named to it together with their lease, as sessions do by themselves.
// TASK_GONE is the end: what the slave still says of the task when it is back is kept from the framework, but may reach it by way of
// a later leader, as an end of its own or as reports from before; the first end counts.
//
// What a lease does not cover: a machine that is stopped as a whole and later goes on where it was, as a snapshot of a virtual machine
// does, runs its tasks until its supervisors get their turn; supervisors that somebody stops, or kills together with their slave; and what
// the task has started elsewhere. Where that matters, hand out tokens that count up and have the receiving side refuse older ones. Tasks of custom
// executors cannot have one, because they share their executor's container.
func ValidateLease(lease time.Duration) error {
	if lease != 0 && (lease < MinLease || lease > MaxLease) {
		return fmt.Errorf("lease %v: must be zero or from %v to %v", lease, MinLease, MaxLease)
	}
	return nil
}
