package isolation

import (
	"fmt"
	"slices"

	"github.com/meros-project/meros/offer"
)

// A Feature is something that a Spec can ask for and that only some isolators give.
type Feature string

// FeatureLimits is that a container may use more than its Resources, up to its Limits.
const FeatureLimits Feature = "limits above the request"

// FeatureURIs is that files are fetched into the sandbox for the command.
const FeatureURIs Feature = "URIs to fetch"

// FeatureImage is that the root folder of a container is made from an image, and named in Plan.Rootfs.
const FeatureImage Feature = "an image"

// FeatureRootfs is that a container sees the folder of Plan.Rootfs as its root, and nothing else of the machine's files than what it is given.
const FeatureRootfs Feature = "a root folder of its own"

// FeatureNetwork is that a container has no network but a loopback of its own.
const FeatureNetwork Feature = "a network of its own"

// FeatureVolumes is that something is shown to a container at another path, or read-only.
const FeatureVolumes Feature = "volumes"

// FeatureHostname is that a container has a host name of its own.
const FeatureHostname Feature = "a host name of its own"

// An Enforcer gives features. What no isolator of a chain gives, the chain refuses to prepare.
type Enforcer interface {
	// Enforces names the features that this isolator gives on this machine. The answer does not change.
	Enforces() []Feature
}

// A Lacker tells what it should hold containers to and cannot on this machine.
type Lacker interface {
	// Lacks returns short phrases for an operator, such as "no limit on swap"; empty means that nothing is missing.
	Lacks() []string
}

// Needs names the features that the container asks for.
func (s *Spec) Needs() []Feature {
	var needs []Feature
	if len(s.Limits) > 0 {
		needs = append(needs, FeatureLimits)
	}
	if s.Command != nil && len(s.Command.URIs) > 0 {
		needs = append(needs, FeatureURIs)
	}
	if s.Image != nil {
		needs = append(needs, FeatureImage, FeatureRootfs)
	}
	if s.Network != offer.NetworkHost {
		needs = append(needs, FeatureNetwork)
	}
	if len(s.Volumes) > 0 {
		needs = append(needs, FeatureVolumes)
	}
	if s.Hostname != "" {
		needs = append(needs, FeatureHostname)
	}
	return needs
}

// Enforces implements Enforcer: what at least one of the chain's isolators gives.
func (c Chain) Enforces() []Feature {
	var all []Feature
	for _, iso := range c {
		if e, ok := iso.(Enforcer); ok {
			all = append(all, e.Enforces()...)
		}
	}
	return all
}

// Lacks implements Lacker: what the chain's isolators tell, each phrase after the isolator's name.
func (c Chain) Lacks() []string {
	var all []string
	for _, iso := range c {
		if l, ok := iso.(Lacker); ok {
			for _, what := range l.Lacks() {
				all = append(all, iso.Name()+": "+what)
			}
		}
	}
	return all
}

// refuse returns an offer.Refusal if the container needs what the chain does not give.
func (c Chain) refuse(spec *Spec) error {
	has := c.Enforces()
	for _, f := range spec.Needs() {
		if !slices.Contains(has, f) {
			return offer.Refuse(offer.ReasonUnsupported, fmt.Sprintf("the container asks for %s, which no isolator of this slave enforces", f))
		}
	}
	return nil
}
