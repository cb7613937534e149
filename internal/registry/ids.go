package registry

import (
	"strconv"
	"strings"

	"github.com/meros-project/meros/offer"
)

// Ids are counted: "s-1", "s-2", ... for slaves and "f-1", "f-2", ... for frameworks. A number that was handed out and is not on record
// any more is therefore known to be retired, without a list of retired ids.

func slaveID(n uint64) offer.SlaveID { return offer.SlaveID("s-" + strconv.FormatUint(n, 10)) }

func frameworkID(n uint64) offer.FrameworkID {
	return offer.FrameworkID("f-" + strconv.FormatUint(n, 10))
}

// SlaveNumber returns the number in a slave id, and whether it is one that a registry could have handed out.
func SlaveNumber(id offer.SlaveID) (uint64, bool) { return number("s-", string(id)) }

// FrameworkNumber returns the number in a framework id, and whether it is one that a registry could have handed out.
func FrameworkNumber(id offer.FrameworkID) (uint64, bool) { return number("f-", string(id)) }

func number(prefix, id string) (uint64, bool) {
	digits, ok := strings.CutPrefix(id, prefix)
	if !ok || digits == "" || len(digits) > 19 || digits[0] < '1' || digits[0] > '9' {
		return 0, false
	}
	var n uint64
	for i := 0; i < len(digits); i++ {
		c := digits[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}
