// Package offer is the currency of a cluster: every noun that crosses a boundary between master, slave and framework.
//
// Reading order: [Slave] and [Framework] (who takes part), [Offer] (what a framework is offered), [Operation] and [Filter] (what it
// answers), [Task] and [State] (what runs), [Status] and [Reason] (what is told about it). Amounts are in offer/resource, in
// thousandths. Everything here is a plain value: copy it freely, and treat slices and maps inside a received value as read-only.
package offer
