package refalloc

import "github.com/meros-project/meros/offer/resource"

// amounts is how much there is of each scalar, in thousandths. What is not in it is zero.
type amounts map[string]int64

// scalars returns the sum of the scalars of res.
func scalars(res resource.Resources) amounts {
	m := amounts{}
	m.add(res, 1)
	return m
}

// add adds all scalars of res, sign times.
func (m amounts) add(res resource.Resources, sign int64) {
	for i := range res {
		if e := &res[i]; e.Type == resource.ScalarType {
			m[e.Name] += sign * int64(e.Scalar)
		}
	}
}

// addPlain adds the scalars of res that are neither reserved nor revocable, sign times.
func (m amounts) addPlain(res resource.Resources, sign int64) {
	for i := range res {
		if e := &res[i]; e.Type == resource.ScalarType && !e.Reserved() && !e.Revocable {
			m[e.Name] += sign * int64(e.Scalar)
		}
	}
}

// enough reports whether m has all of one of the sets. No sets at all means that anything is enough.
func (m amounts) enough(sets []resource.Quantities) bool {
	for _, set := range sets {
		if m.has(set) {
			return true
		}
	}
	return len(sets) == 0
}

func (m amounts) has(set resource.Quantities) bool {
	for _, q := range set {
		if m[q.Name] < int64(q.Amount) {
			return false
		}
	}
	return true
}

// some reports whether m holds more than nothing of anything.
func (m amounts) some() bool {
	for _, x := range m {
		if x > 0 {
			return true
		}
	}
	return false
}
