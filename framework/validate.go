package framework

import (
	"errors"
	"fmt"
	"strings"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// maxData bounds what Message carries; with its envelope it fits a frame.
const maxData = 1 << 20

func validateID(what, id string) error {
	if err := offer.ValidateID(what, id); err != nil {
		return offer.Refuse(offer.ReasonInvalidField, err.Error())
	}
	return nil
}

func validateOffers(call string, offers []offer.OfferID) error {
	if len(offers) == 0 {
		return offer.Refuse(offer.ReasonInvalidOffers, call+": offers is empty (allowed: at least one)")
	}
	seen := make(map[offer.OfferID]bool, len(offers))
	for i, id := range offers {
		if err := validateID(fmt.Sprintf("%s: offers[%d]", call, i), string(id)); err != nil {
			return err
		}
		if seen[id] {
			return offer.Refuse(offer.ReasonInvalidOffers, fmt.Sprintf("%s: offers[%d] %q is named twice", call, i, id))
		}
		seen[id] = true
	}
	return nil
}

// validateOperation checks what can be seen without the offer; the master checks it again with it.
func validateOperation(path string, op *offer.Operation) error {
	bad := func(field, why string) error {
		return offer.Refuse(offer.ReasonInvalidField, path+"."+field+": "+why)
	}
	if op.ID != "" {
		if err := validateID(path+".id", string(op.ID)); err != nil {
			return err
		}
	}
	switch op.Kind {
	case offer.OperationLaunch, offer.OperationLaunchGroup:
		if len(op.Tasks) == 0 {
			return bad("tasks", "is empty (allowed: at least one)")
		}
		seen := make(map[offer.TaskID]bool, len(op.Tasks))
		member := op.Kind == offer.OperationLaunchGroup && (op.Executor == nil || op.Executor.Default)
		for i := range op.Tasks {
			t := &op.Tasks[i]
			checked := i > 0 && t.Resources.Same(op.Tasks[i-1].Resources)
			if field, err := validateTask(t, op.Executor != nil, member, checked); err != nil {
				return offer.Refuse(offer.ReasonInvalidField, fmt.Sprintf("%s.tasks[%d].%s: %v", path, i, field, err))
			}
			if seen[t.ID] {
				return offer.Refuse(offer.ReasonDuplicateID, fmt.Sprintf("%s.tasks[%d].id %q is named twice", path, i, t.ID))
			}
			seen[t.ID] = true
		}
	case offer.OperationReserve, offer.OperationUnreserve, offer.OperationCreate, offer.OperationDestroy:
		if op.Resources.Empty() {
			return bad("resources", "is empty")
		}
		if err := op.Resources.Validate(resource.Limits{}); err != nil {
			return bad("resources", err.Error())
		}
	default:
		return bad("kind", fmt.Sprintf("%d is not an operation (allowed: LAUNCH, LAUNCH_GROUP, RESERVE, UNRESERVE, CREATE, DESTROY)", op.Kind))
	}
	return nil
}

// validateTask names the field that is wrong. Grouped says that the operation has an executor, member that the task is of a group under the
// built-in one, checked says that the resources were looked at already.
func validateTask(t *offer.Task, grouped, member, checked bool) (field string, err error) {
	if err := offer.ValidateID("value", string(t.ID)); err != nil {
		return "id", err
	}
	kinds := 0
	if t.Command != nil {
		kinds++
	}
	if t.Function != "" {
		kinds++
	}
	if t.Executor != nil {
		kinds++
	}
	if kinds != 1 && !(grouped && kinds == 0) {
		return "command", fmt.Errorf("%d of command, function and executor are set (allowed: exactly one)", kinds)
	}
	if t.Command != nil && t.Command.Value == "" && t.Image == nil {
		return "command.value", errors.New("is empty")
	}
	if t.Command != nil {
		if err := offer.ValidateURIs(t.Command.URIs); err != nil {
			return "command", err
		}
	}
	if err := offer.ValidateContainer(t.Image, t.Network, t.Volumes); err != nil {
		field, why, _ := strings.Cut(err.Error(), " ")
		return strings.TrimSuffix(field, ":"), errors.New(why)
	}
	if err := offer.ValidateHostname(t.Hostname); err != nil {
		field, why, _ := strings.Cut(err.Error(), " ")
		return strings.TrimSuffix(field, ":"), errors.New(why)
	}
	if t.ShareCgroups && !member {
		return "shareCgroups", errors.New("is set, but there is nobody to share with (allowed: for members of a group under the built-in executor)")
	}
	if t.Executor != nil {
		if err := offer.ValidateID("value", string(t.Executor.ID)); err != nil {
			return "executor.id", err
		}
	}
	if t.Resources.Empty() {
		return "resources", errors.New("is empty")
	}
	if !checked {
		if err := t.Resources.Validate(resource.Limits{}); err != nil {
			return "resources", err
		}
	}
	if err := offer.ValidateChecks(t); err != nil {
		field, why, _ := strings.Cut(err.Error(), ": ")
		return field, errors.New(why)
	}
	if t.MaxCompletion < 0 {
		return "maxCompletion", fmt.Errorf("%v is negative", t.MaxCompletion)
	}
	if err := offer.ValidateLease(t.Lease); err != nil {
		return "lease", err
	}
	if t.Lease > 0 && t.Executor != nil {
		return "lease", errors.New("a task of a custom executor cannot have one")
	}
	if err := offer.ValidateStreams(t.Streams); err != nil {
		field, why, _ := strings.Cut(err.Error(), " ")
		return field, errors.New(why)
	}
	if t.Streams != nil && t.Executor != nil {
		return "streams", errors.New("a task of a custom executor has the executor's")
	}
	return "", nil
}
