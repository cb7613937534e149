package offer

import "time"

// Bounds of Filter.Refuse. Mesos: Filters.refuse_seconds.
const (
	DefaultRefuse = 5 * time.Second
	MaxRefuse     = 365 * 24 * time.Hour
	// NoFilter in Filter.Refuse means that the same resources may be offered again at once, or, where an offer is not used at all, as soon
	// as others have had their look: after milliseconds.
	NoFilter = time.Duration(-1)
)

// A Filter says for how long a framework does not want to see, in the same role and from the same slave, resources that are
// contained in those it refuses. A larger offer passes.
type Filter struct {
	// Refuse defaults to DefaultRefuse; NoFilter sets none; more than MaxRefuse counts as MaxRefuse.
	Refuse time.Duration
}

// Duration returns the effective time: zero when the filter is to be ignored.
func (f Filter) Duration() time.Duration {
	switch {
	case f.Refuse == 0:
		return DefaultRefuse
	case f.Refuse < 0:
		return 0
	case f.Refuse > MaxRefuse:
		return MaxRefuse
	}
	return f.Refuse
}
