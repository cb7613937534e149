package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// The jsonX types are Mesos' JSON shape of a Resource. Pointers tell what is absent from what is empty.
type (
	jsonResource struct {
		Name         string            `json:"name"`
		Type         string            `json:"type"`
		Scalar       *jsonScalar       `json:"scalar,omitempty"`
		Ranges       *jsonRanges       `json:"ranges,omitempty"`
		Set          *jsonSet          `json:"set,omitempty"`
		Reservations []jsonReservation `json:"reservations,omitempty"`
		Disk         *jsonDisk         `json:"disk,omitempty"`
		Revocable    *struct{}         `json:"revocable,omitempty"`
		Shared       *struct{}         `json:"shared,omitempty"`

		// The form before reservation refinement, and the bookkeeping of an offer, are read but never written.
		Role           string           `json:"role,omitempty"`
		Reservation    *jsonReservation `json:"reservation,omitempty"`
		AllocationInfo *jsonAllocation  `json:"allocation_info,omitempty"`
	}
	jsonScalar struct {
		Value *Scalar `json:"value"`
	}
	jsonRange struct {
		Begin *uint64 `json:"begin"`
		End   *uint64 `json:"end"`
	}
	jsonRanges struct {
		Range []jsonRange `json:"range"`
	}
	jsonSet struct {
		Item []string `json:"item"`
	}
	jsonReservation struct {
		Type      string      `json:"type,omitempty"`
		Role      string      `json:"role,omitempty"`
		Principal string      `json:"principal,omitempty"`
		Labels    *jsonLabels `json:"labels,omitempty"`
	}
	jsonLabels struct {
		Labels []jsonLabel `json:"labels"`
	}
	jsonLabel struct {
		Key   string `json:"key"`
		Value string `json:"value,omitempty"`
	}
	jsonDisk struct {
		Persistence *jsonPersistence `json:"persistence,omitempty"`
		Volume      *jsonVolume      `json:"volume,omitempty"`
	}
	jsonPersistence struct {
		ID        string `json:"id"`
		Principal string `json:"principal,omitempty"`
	}
	jsonVolume struct {
		ContainerPath string `json:"container_path"`
		Mode          string `json:"mode"`
	}
	jsonAllocation struct {
		Role string `json:"role,omitempty"`
	}
)

// MarshalJSON writes an array in Mesos' JSON shape, with exact numbers. A shared volume that is held several times is written as
// often.
func (r Resources) MarshalJSON() ([]byte, error) {
	out := make([]jsonResource, 0, len(r))
	for i := range r {
		j := r[i].toJSON()
		for range r[i].count() {
			out = append(out, j)
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads an array in Mesos' JSON shape and makes it canonical as New does. Numbers are read from their literals,
// without rounding. It also reads the older "role" and "reservation" fields, and ignores "allocation_info", so that resources
// copied from an offer work. Any other unknown field, more than MaxTextBytes, or what New refuses is an *Error, and leaves the
// receiver as it was.
func (r *Resources) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	out, err := decodeJSON(data)
	if err != nil {
		return err
	}
	*r = out
	return nil
}

func decodeJSON(data []byte) (Resources, error) {
	if len(data) > MaxTextBytes {
		return nil, conflict("json", fmt.Sprintf("must be at most %d bytes", MaxTextBytes))
	}
	var in []jsonResource
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return nil, jsonError(err)
	}
	if rest := bytes.TrimSpace(data[dec.InputOffset():]); len(rest) > 0 {
		return nil, invalid("json", string(rest), "must not follow the array")
	}
	items := make([]Resource, len(in))
	for i := range in {
		item, err := in[i].fromJSON()
		if err != nil {
			var e *Error
			if errors.As(err, &e) {
				e.Field = fmt.Sprintf("[%d].%s", i, e.Field)
			}
			return nil, err
		}
		items[i] = item
	}
	return New(items...)
}

// jsonError turns the decoder's errors into this package's, which name the field.
func jsonError(err error) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return invalid("json "+wrong.Field, wrong.Value, "must be a "+wrong.Type.String())
	}
	if name, found := strings.CutPrefix(err.Error(), "json: unknown field "); found {
		return conflict("json", "unknown field "+name)
	}
	return conflict("json", strings.TrimPrefix(err.Error(), "json: "))
}

func (r *Resource) toJSON() jsonResource {
	j := jsonResource{Name: r.Name, Type: r.Type.String()}
	switch r.Type {
	case RangesType:
		j.Ranges = &jsonRanges{Range: make([]jsonRange, len(r.Ranges))}
		for i := range r.Ranges {
			j.Ranges.Range[i] = jsonRange{&r.Ranges[i].Begin, &r.Ranges[i].End}
		}
	case SetType:
		j.Set = &jsonSet{Item: r.Set}
	default:
		j.Scalar = &jsonScalar{Value: &r.Scalar}
	}
	for _, res := range r.Reservations {
		out := jsonReservation{Type: res.Type.String(), Role: res.Role, Principal: res.Principal}
		if len(res.Labels) > 0 {
			out.Labels = &jsonLabels{Labels: make([]jsonLabel, len(res.Labels))}
			for i, label := range res.Labels {
				out.Labels.Labels[i] = jsonLabel(label)
			}
		}
		j.Reservations = append(j.Reservations, out)
	}
	if v := r.Volume; v != nil {
		mode := "RW"
		if v.ReadOnly {
			mode = "RO"
		}
		j.Disk = &jsonDisk{&jsonPersistence{v.ID, v.Principal}, &jsonVolume{v.ContainerPath, mode}}
	}
	if r.Revocable {
		j.Revocable = &struct{}{}
	}
	if r.Shared {
		j.Shared = &struct{}{}
	}
	return j
}

func (j *jsonResource) fromJSON() (Resource, error) {
	r := Resource{Name: j.Name, Revocable: j.Revocable != nil, Shared: j.Shared != nil}
	if err := j.value(&r); err != nil {
		return r, err
	}
	if err := j.reservations(&r); err != nil {
		return r, err
	}
	if j.Disk == nil {
		return r, nil
	}
	if j.Disk.Persistence == nil || j.Disk.Volume == nil {
		return r, conflict("disk", "must have both persistence and volume")
	}
	v := j.Disk.Volume
	if v.Mode != "RW" && v.Mode != "RO" {
		return r, invalid("disk.volume.mode", v.Mode, "must be RW or RO")
	}
	r.Volume = &Volume{ID: j.Disk.Persistence.ID, Principal: j.Disk.Persistence.Principal, ContainerPath: v.ContainerPath, ReadOnly: v.Mode == "RO"}
	return r, nil
}

func (j *jsonResource) value(r *Resource) error {
	extra := func(a, b bool) error {
		if a || b {
			return conflict(j.Name, "must have no value but that of its type "+j.Type)
		}
		return nil
	}
	switch j.Type {
	case "SCALAR":
		if j.Scalar == nil || j.Scalar.Value == nil {
			return conflict("scalar.value", "is missing")
		}
		r.Type, r.Scalar = ScalarType, *j.Scalar.Value
		return extra(j.Ranges != nil, j.Set != nil)
	case "RANGES":
		if j.Ranges == nil {
			return conflict("ranges", "is missing")
		}
		r.Type = RangesType
		for _, x := range j.Ranges.Range {
			if x.Begin == nil || x.End == nil {
				return conflict("ranges.range", "must have begin and end")
			}
			r.Ranges = append(r.Ranges, Range{*x.Begin, *x.End})
		}
		return extra(j.Scalar != nil, j.Set != nil)
	case "SET":
		if j.Set == nil {
			return conflict("set", "is missing")
		}
		r.Type, r.Set = SetType, j.Set.Item
		return extra(j.Scalar != nil, j.Ranges != nil)
	}
	return invalid("type", j.Type, "must be SCALAR, RANGES or SET")
}

func (j *jsonResource) reservations(r *Resource) error {
	stack := j.Reservations
	if len(stack) > 0 && (j.Reservation != nil || j.Role != "" && j.Role != AnyRole) {
		return conflict("reservations", "must not be mixed with the older role or reservation")
	}
	switch {
	case j.Reservation != nil:
		if j.Role == "" || j.Role == AnyRole {
			return invalid("role", j.Role, "must name the role of reservation")
		}
		old := *j.Reservation
		old.Type, old.Role = Dynamic.String(), j.Role
		stack = []jsonReservation{old}
	case j.Role != "" && j.Role != AnyRole:
		stack = []jsonReservation{{Type: Static.String(), Role: j.Role}}
	}
	for i, in := range stack {
		res := Reservation{Role: in.Role, Principal: in.Principal}
		switch in.Type {
		case "STATIC":
			res.Type = Static
		case "DYNAMIC":
			res.Type = Dynamic
		default:
			return invalid(fmt.Sprintf("reservations[%d].type", i), in.Type, "must be STATIC or DYNAMIC")
		}
		if in.Labels != nil {
			for _, label := range in.Labels.Labels {
				res.Labels = append(res.Labels, Label(label))
			}
		}
		r.Reservations = append(r.Reservations, res)
	}
	return nil
}
