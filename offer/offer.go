package offer

import "github.com/meros-project/meros/offer/resource"

// An Offer is a promise: these resources of this slave are yours, in this role, until you accept, decline, or are told that the offer
// is rescinded. It is used at most once.
type Offer struct {
	ID             OfferID
	FrameworkID    FrameworkID
	SlaveID        SlaveID
	Hostname       string
	Address        string // of the slave, as in Slave.Address
	Role           string
	Resources      resource.Resources
	Attributes     []Attribute
	Domain         Domain
	Executors      []ExecutorID // this framework's executors that already run there
	Unavailability *Unavailability
}
