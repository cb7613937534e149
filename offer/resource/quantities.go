package resource

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Quantity is an amount of one name, without identity.
type Quantity struct {
	Name   string
	Amount Scalar
}

// Quantities is amounts sorted by name, each name once and each amount above zero: what quotas, limits and totals are made of.
// The methods require that form, keep it, and never change their receiver or argument. A result may share memory with either.
type Quantities []Quantity

// NewQuantities returns items in that form: sorted, those of one name added up, zeros dropped. It fails with an *Error for what
// Validate refuses. The items are not changed.
func NewQuantities(items ...Quantity) (Quantities, error) {
	var out Quantities
	for _, item := range items {
		if item.Amount == 0 {
			continue
		}
		one := Quantities{item}
		if err := one.Validate(Limits{}); err != nil {
			return nil, err
		}
		out = out.Add(one)
	}
	return out, out.Validate(Limits{})
}

// Validate reports the first thing that is wrong as an *Error: a bad name, an amount that is not above zero, names out of order
// or twice, or more entries than limits allow. It is for values that were decoded field by field.
func (q Quantities) Validate(limits Limits) error {
	limits = limits.withDefaults()
	if len(q) > limits.Entries {
		return conflict("quantities", fmt.Sprintf("%d are more than the allowed %d", len(q), limits.Entries))
	}
	for i := range q {
		if err := ValidateName(q[i].Name); err != nil {
			return err
		}
		if q[i].Amount <= 0 {
			return invalid(q[i].Name, q[i].Amount.String(), "must be above 0")
		}
		if i > 0 && q[i-1].Name >= q[i].Name {
			return conflict(q[i].Name, "quantities must be sorted by name, each name once")
		}
	}
	return nil
}

// ParseQuantities reads scalars in the text form, such as "cpus:4;mem:8192". Zero amounts are dropped.
func ParseQuantities(text string) (Quantities, error) {
	r, err := Parse(text)
	if err != nil {
		return nil, err
	}
	for i := range r {
		if r[i].Type != ScalarType || r[i].Reserved() || r[i].Revocable {
			return nil, invalid("quantity", r[i].String(), "must be an unreserved scalar")
		}
	}
	return r.Quantities(), nil
}

// Get returns the amount of name, zero when there is none.
func (q Quantities) Get(name string) Scalar {
	for i := range q {
		if q[i].Name == name {
			return q[i].Amount
		}
	}
	return 0
}

// Add returns the sum for each name. It saturates at the end of int64.
func (q Quantities) Add(o Quantities) Quantities {
	if len(o) == 0 {
		return q
	}
	if len(q) == 0 {
		return o
	}
	out := make(Quantities, 0, len(q)+len(o))
	i, j := 0, 0
	for i < len(q) && j < len(o) {
		switch c := strings.Compare(q[i].Name, o[j].Name); {
		case c < 0:
			out = append(out, q[i])
			i++
		case c > 0:
			out = append(out, o[j])
			j++
		default:
			out = append(out, Quantity{q[i].Name, addSaturating(q[i].Amount, o[j].Amount)})
			i, j = i+1, j+1
		}
	}
	return append(append(out, q[i:]...), o[j:]...)
}

// Sub returns the difference for each name. What would be zero or less is left out, as headroom that is used up.
func (q Quantities) Sub(o Quantities) Quantities {
	var out Quantities
	j := 0
	for i := range q {
		for j < len(o) && o[j].Name < q[i].Name {
			j++
		}
		amount := q[i].Amount
		if j < len(o) && o[j].Name == q[i].Name {
			amount -= o[j].Amount
		}
		if amount > 0 {
			out = append(out, Quantity{q[i].Name, amount})
		}
	}
	return out
}

// Fits reports whether in has at least the amount of every name in q.
func (q Quantities) Fits(in Quantities) bool {
	j := 0
	for i := range q {
		for j < len(in) && in[j].Name < q[i].Name {
			j++
		}
		if j == len(in) || in[j].Name != q[i].Name || in[j].Amount < q[i].Amount {
			return false
		}
	}
	return true
}

// Scale returns each amount n times, saturating at the end of int64. Zero or less returns nothing.
func (q Quantities) Scale(n int64) Quantities {
	if n <= 0 {
		return nil
	}
	out := slices.Clone(q)
	for i := range out {
		if out[i].Amount > Scalar(math.MaxInt64/n) {
			out[i].Amount = math.MaxInt64
		} else {
			out[i].Amount *= Scalar(n)
		}
	}
	return out
}

// Equal reports whether q and o hold the same amounts.
func (q Quantities) Equal(o Quantities) bool { return slices.Equal(q, o) }

// Empty reports whether q holds nothing.
func (q Quantities) Empty() bool { return len(q) == 0 }

// String prints the amounts in the text form: "cpus:4;mem:8192".
func (q Quantities) String() string {
	var dst []byte
	for i := range q {
		if i > 0 {
			dst = append(dst, ';')
		}
		dst = append(append(dst, q[i].Name...), ':')
		dst = q[i].Amount.append(dst)
	}
	return string(dst)
}
