package resource

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// Scalar is an amount of a divisible resource in thousandths: Scalar(1500) is 1.5 cpus. Sums and differences are exact integers.
type Scalar int64

// MaxScalar is the largest amount that one entry may declare: 2^53-1 thousandths, the last at which the float64 of
// Mesos' JSON and protobuf still tells neighbouring thousandths apart.
const MaxScalar Scalar = 1<<53 - 1

const thousandths = 1000

// Units returns n whole units, such as Units(4) for 4 cpus. It saturates when n thousandfold does not fit.
func Units(n int64) Scalar {
	switch {
	case n > math.MaxInt64/thousandths:
		return math.MaxInt64
	case n < math.MinInt64/thousandths:
		return math.MinInt64
	}
	return Scalar(n * thousandths)
}

// ParseScalar reads a decimal number such as "4", "0.5" or "31000.125": digits, then at most three decimals. Nothing is rounded:
// more decimals, a sign, an exponent, or an amount above MaxScalar is an *Error.
func ParseScalar(text string) (Scalar, error) {
	bad := func(want string) (Scalar, error) { return 0, invalid("scalar", text, want) }
	if strings.HasPrefix(text, "-") {
		return bad("must not be negative")
	}
	whole, decimals, hasPoint := strings.Cut(text, ".")
	if !digits(whole) || hasPoint && !digits(decimals) {
		return bad("must be a decimal number without sign or exponent")
	}
	if len(decimals) > 3 {
		return bad("must have at most 3 decimals")
	}
	n, err := strconv.ParseUint(whole+(decimals + "000")[:3], 10, 64)
	if err != nil || n > uint64(MaxScalar) {
		return bad("must be at most " + MaxScalar.String())
	}
	return Scalar(n), nil
}

// FromFloat converts a float64 that came over a Mesos wire format, rounding to the nearest thousandth as Mesos does. NaN,
// infinities, negative numbers and amounts above MaxScalar are an *Error.
func FromFloat(f float64) (Scalar, error) {
	r := math.Round(f * thousandths)
	if !(r >= 0) || r > float64(MaxScalar) {
		return 0, invalid("scalar", strconv.FormatFloat(f, 'g', -1, 64), "must be between 0 and "+MaxScalar.String())
	}
	return Scalar(r), nil
}

// Float returns the amount in units. It is for display and for Mesos' wire formats only: arithmetic belongs on Scalar.
func (s Scalar) Float() float64 { return float64(s) / thousandths }

// String prints the amount in units without trailing zeros: "4", "0.1", "1.25".
func (s Scalar) String() string { return string(s.append(nil)) }

func (s Scalar) append(dst []byte) []byte {
	u := uint64(s)
	if s < 0 {
		dst, u = append(dst, '-'), -u
	}
	dst = strconv.AppendUint(dst, u/thousandths, 10)
	frac := u % thousandths
	if frac == 0 {
		return dst
	}
	dst = append(dst, '.', byte('0'+frac/100), byte('0'+frac/10%10), byte('0'+frac%10))
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// MarshalJSON writes the amount in units as a JSON number with at most three decimals.
func (s Scalar) MarshalJSON() ([]byte, error) { return s.append(nil), nil }

// UnmarshalJSON reads the literal of a JSON number by the rules of ParseScalar, never through a float64.
func (s *Scalar) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	v, err := ParseScalar(string(data))
	if err != nil {
		return err
	}
	*s = v
	return nil
}

var (
	_ json.Marshaler   = Scalar(0)
	_ json.Unmarshaler = (*Scalar)(nil)
)

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// addSaturating keeps sums over a hostile fleet from wrapping into negative amounts; operands are not negative.
func addSaturating(a, b Scalar) Scalar {
	if sum := a + b; sum >= a {
		return sum
	}
	return math.MaxInt64
}
