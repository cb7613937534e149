package refalloc

import (
	"cmp"
	"slices"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
)

// asked is an inverse offer to a framework: outstanding, or answered and not to be made again until then.
type asked struct {
	outstanding bool
	until       time.Time
}

func (a *Allocator) setUnavailable(ev allocator.SlaveUnavailable) {
	s := a.slaves[ev.Slave]
	if s == nil {
		return
	}
	if old, to := s.plan, ev.Unavailability; old != nil && to != nil && old.Start.Equal(to.Start) && old.Duration == to.Duration {
		return
	}
	s.plan, s.asked = nil, map[offer.FrameworkID]asked{}
	if ev.Unavailability != nil {
		plan := *ev.Unavailability
		s.plan = &plan
	}
}

func (a *Allocator) inverseAnswered(ev allocator.InverseAnswered) {
	if s := a.slaves[ev.Slave]; s != nil && s.asked[ev.Framework].outstanding {
		s.asked[ev.Framework] = asked{until: a.now.Add(min(max(ev.Refuse, 0), offer.MaxRefuse))}
	}
}

// Inverse asks every active framework that holds something on a slave with a plan; see allocator.Allocator.
func (a *Allocator) Inverse(now time.Time, out []allocator.Inverse) []allocator.Inverse {
	a.now = now
	for _, s := range a.fleet {
		if s.plan == nil {
			continue
		}
		held := slices.Clone(s.held)
		slices.SortFunc(held, func(x, y holding) int { return cmp.Compare(x.of.framework.seq, y.of.framework.seq) })
		for _, h := range held {
			f := h.of.framework
			if q, ok := s.asked[f.id]; f.known && f.active && (!ok || !q.outstanding && !q.until.After(now)) {
				s.asked[f.id] = asked{outstanding: true}
				out = append(out, allocator.Inverse{Framework: f.id, Slave: s.ID, Unavailability: *s.plan})
			}
		}
	}
	return out
}
