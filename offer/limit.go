package offer

import (
	"encoding/json"
	"fmt"

	"github.com/meros-project/meros/offer/resource"
)

// NoLimit is the Amount of a Limit that does not bound.
const NoLimit resource.Scalar = -1

// A Limit is a bound, in thousandths, above the requested amount of cpus or mem; other resources have none. NoLimit means no bound. In JSON
// the Amount is a number of units, or "Infinity" for NoLimit.
type Limit struct {
	Name   string
	Amount resource.Scalar
}

const infinity = `"Infinity"`

// MarshalJSON writes the Amount in units.
func (l Limit) MarshalJSON() ([]byte, error) {
	amount := json.RawMessage(infinity)
	if l.Amount != NoLimit {
		b, err := l.Amount.MarshalJSON()
		if err != nil {
			return nil, err
		}
		amount = b
	}
	return json.Marshal(struct {
		Name   string
		Amount json.RawMessage
	}{l.Name, amount})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (l *Limit) UnmarshalJSON(b []byte) error {
	var v struct {
		Name   string
		Amount json.RawMessage
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return fmt.Errorf("limit: %w", err)
	}
	l.Name, l.Amount = v.Name, NoLimit
	if string(v.Amount) == infinity {
		return nil
	}
	if len(v.Amount) == 0 {
		return fmt.Errorf("limit of %.60q: has no amount", v.Name)
	}
	return l.Amount.UnmarshalJSON(v.Amount)
}
