package allocator

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A ChangeKind is what is to be done; its fields are in Change.
type ChangeKind uint8

// The changes. The zero value is none: nothing need be done.
const (
	// Subscribe: the framework subscribes to Role.
	Subscribe ChangeKind = iota + 1
	// Reconnect: the framework connects again.
	Reconnect
	// Revive: the framework revives Role.
	Revive
	// AnswerOffers: the framework accepts or declines as many of its offers as Amount says.
	AnswerOffers
	// AddSlave: a slave is added that has more.
	AddSlave
	// ActivateSlave: Slave is reactivated, or connects again.
	ActivateSlave
	// ListHost: Host goes on the whitelist.
	ListHost
	// RelaxConstraint: the framework drops or changes the constraint that fails.
	RelaxConstraint
	// AskFor: the framework requests some of the scalar Name in Role, or sets GPU_RESOURCES if it is gpus.
	AskFor
	// AddCapability: the framework sets Capability.
	AddCapability
	// Unreserve: Amount of Name on Slave is no longer reserved to Role.
	Unreserve
	// WaitOrRevive: nothing for as long as Wait says, or the framework revives Role.
	WaitOrRevive
	// RaiseLimit: the limit of Role for Name goes from From to To.
	RaiseLimit
	// FreeAnywhere: Amount of Name becomes free on any slave, unreserved.
	FreeAnywhere
	// FreeOn: Amount of Name becomes free on Slave.
	FreeOn
	// AskLess: the framework makes do with less of Name in Role: Slave has Amount in all.
	AskLess
	// RaiseWeight: the weight of Role goes from From to To.
	RaiseWeight
	// AwaitTurn: nothing but time: shares change with what is launched and what ends.
	AwaitTurn
)

var changeNames = [...]string{Subscribe: "subscribe", Reconnect: "reconnect", Revive: "revive", AnswerOffers: "answer-offers", AddSlave: "add-slave",
	ActivateSlave: "activate-slave", ListHost: "list-host", RelaxConstraint: "relax-constraint", AskFor: "ask-for", AddCapability: "add-capability",
	Unreserve: "unreserve", WaitOrRevive: "wait-or-revive", RaiseLimit: "raise-limit", FreeAnywhere: "free-anywhere", FreeOn: "free-on",
	AskLess: "ask-less", RaiseWeight: "raise-weight", AwaitTurn: "await-turn"}

// String returns the kind in one word, for programs and logs; nothing for none.
func (k ChangeKind) String() string {
	if int(k) >= len(changeNames) {
		return fmt.Sprintf("change-%d", uint8(k))
	}
	return changeNames[k]
}

// A Change is what would end a cause.
type Change struct {
	Kind       ChangeKind
	Role       string
	Slave      offer.SlaveID
	Host       string
	Name       string
	Amount     resource.Scalar
	From, To   resource.Scalar
	Wait       time.Duration
	Capability offer.Capabilities
}

// String says it to an operator, in the imperative; empty for none.
func (c Change) String() string {
	switch c.Kind {
	case Subscribe:
		if c.Role == "" {
			return "subscribe to a role"
		}
		return "subscribe to role " + c.Role
	case Reconnect:
		return "connect again"
	case Revive:
		return "revive role " + c.Role
	case AnswerOffers:
		return fmt.Sprintf("accept or decline %s of them", c.Amount)
	case AddSlave:
		return "add a slave"
	case ActivateSlave:
		return fmt.Sprintf("reactivate slave %s", c.Slave)
	case ListHost:
		return fmt.Sprintf("add host %q to the whitelist", c.Host)
	case RelaxConstraint:
		return "drop or change that constraint of role " + c.Role
	case AskFor:
		return fmt.Sprintf("ask for %s in role %s", c.Name, c.Role)
	case AddCapability:
		return "set the capability " + capabilityName(c.Capability)
	case Unreserve:
		return fmt.Sprintf("unreserve %s:%s of role %s on %s", c.Name, c.Amount, c.Role, c.Slave)
	case WaitOrRevive:
		return fmt.Sprintf("wait %s or revive role %s", c.Wait, c.Role)
	case RaiseLimit:
		return fmt.Sprintf("raise the %s limit of role %s from %s to %s", c.Name, c.Role, c.From, c.To)
	case FreeAnywhere:
		return fmt.Sprintf("free %s %s on any slave", c.Amount, c.Name)
	case FreeOn:
		if c.Name == "" {
			return fmt.Sprintf("free something on %s", c.Slave)
		}
		return fmt.Sprintf("free %s %s on %s", c.Amount, c.Name, c.Slave)
	case AskLess:
		if c.Amount == 0 {
			return fmt.Sprintf("do without %s in role %s, or add a slave that has some", c.Name, c.Role)
		}
		return fmt.Sprintf("ask for at most %s %s in role %s, or add a larger slave", c.Amount, c.Name, c.Role)
	case RaiseWeight:
		return fmt.Sprintf("raise the weight of role %s from %s to %s", c.Role, c.From, c.To)
	case AwaitTurn:
		return "wait for its turn"
	}
	return ""
}

// capabilityName returns Mesos' name of what Explain asks for.
func capabilityName(c offer.Capabilities) string {
	switch c {
	case offer.RevocableResources:
		return "REVOCABLE_RESOURCES"
	case offer.GPUResources:
		return "GPU_RESOURCES"
	case offer.SharedResources:
		return "SHARED_RESOURCES"
	case offer.ReservationRefinement:
		return "RESERVATION_REFINEMENT"
	case offer.RegionAware:
		return "REGION_AWARE"
	}
	return fmt.Sprintf("%#x", uint32(c))
}
