package workload

import (
	"github.com/meros-project/meros/offer/resource"
)

// amounts are scalars by kind: what the workloads' resources consist of, in thousandths.
type amounts [4]int64

var kinds = [4]string{resource.CPUs, resource.Mem, resource.Disk, resource.GPUs}

func amountsOf(rs resource.Resources) amounts {
	var a amounts
	for i := range rs {
		if e := &rs[i]; e.Type == resource.ScalarType {
			a.put(e.Name, int64(e.Scalar))
		}
	}
	return a
}

func amountsIn(q resource.Quantities) amounts {
	var a amounts
	for _, e := range q {
		a.put(e.Name, int64(e.Amount))
	}
	return a
}

func (a *amounts) put(name string, amount int64) {
	for k, known := range kinds {
		if name == known {
			a[k] += amount
		}
	}
}

func (a *amounts) add(b amounts, sign int64) {
	for k := range a {
		a[k] += sign * b[k]
	}
}

func (a amounts) contains(b amounts) bool {
	for k := range a {
		if a[k] < b[k] {
			return false
		}
	}
	return true
}

func (a amounts) containsAny(sets []amounts) bool {
	for _, set := range sets {
		if a.contains(set) {
			return true
		}
	}
	return false
}

// atMost cuts a to what room leaves; room below zero is no bound.
func (a amounts) atMost(room amounts) amounts {
	for k := range a {
		if room[k] >= 0 {
			a[k] = min(a[k], room[k])
		}
	}
	return a
}

// share is the dominant share of a in total.
func (a amounts) share(total amounts) float64 {
	top := 0.0
	for k := range a {
		if total[k] > 0 {
			top = max(top, float64(a[k])/float64(total[k]))
		}
	}
	return top
}

// quantities parses constants of the workloads.
func quantities(text string) resource.Quantities {
	q, err := resource.ParseQuantities(text)
	if err != nil {
		panic(err)
	}
	return q
}
