package sim

import (
	"strings"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// oversight is an observer at the door of one leader: it knows what was asked and what was answered, and from that alone what the leader may
// and what it must say. All its maps are looked up.
type oversight struct {
	r          *reign
	offers     map[offer.OfferID]told        // outstanding, as far as their frameworks can know
	sound      map[string]bool               // tasks of the last accept, if all its offers were outstanding
	inert      map[string]bool               // tasks of accepts of which an offer was not
	frameworks map[*link]offer.FrameworkID   // who was welcomed
	current    map[offer.FrameworkID]*link   // where it was welcomed last
	slaves     map[offer.SlaveID]*link       // likewise
	suppressed map[*link]bool                // want no offers at all
	declined   map[string]refused            // by framework, slave and role
	spoken     map[string]int64              // when a framework was last told of a task, by task
	lost       map[string]int64              // when it was last told that a task is out of reach, by task
	kills      map[string]*link              // where a task's kill was sent
	drains     map[offer.SlaveID]*link       // where the wish to drain was sent
	endings    map[offer.FrameworkID][]*link // where a framework's end was sent
}

// told is an offer and the connection on which it was made.
type told struct {
	link  *link
	offer offer.Offer
}

// refused is what a framework does not want to be offered again for a while.
type refused struct {
	resources resource.Resources
	until     int64
}

func newOversight(r *reign) oversight {
	return oversight{r: r, offers: map[offer.OfferID]told{}, sound: map[string]bool{}, inert: map[string]bool{},
		frameworks: map[*link]offer.FrameworkID{}, current: map[offer.FrameworkID]*link{}, slaves: map[offer.SlaveID]*link{},
		suppressed: map[*link]bool{}, declined: map[string]refused{}, spoken: map[string]int64{}, lost: map[string]int64{},
		kills: map[string]*link{}, drains: map[offer.SlaveID]*link{}, endings: map[offer.FrameworkID][]*link{}}
}

func keyOf(f offer.FrameworkID, t offer.TaskID) string { return string(f) + "/" + string(t) }

func declineKey(f offer.FrameworkID, o *offer.Offer) string {
	return string(f) + "/" + string(o.SlaveID) + "/" + o.Role
}

// asked sees a message before the leader does.
func (x *oversight) asked(l *link, m message.Message) {
	id := x.frameworks[l]
	switch m := m.(type) {
	case *message.Subscribe:
		x.wants(l, m.Framework.ID)
	case *message.UpdateFramework:
		x.wants(l, id)
	case *message.Revive:
		x.wants(l, id)
	case *message.Suppress:
		if len(m.Roles) == 0 && id != "" {
			x.suppressed[l] = true
		}
	case *message.Accept:
		x.accepted(l, id, m)
	case *message.Decline:
		for _, o := range m.Offers {
			t, ok := x.offers[o]
			if !ok || t.link != l {
				continue
			}
			delete(x.offers, o)
			// Three quarters of it, for clocks that drift. A role that has waited because of its quota begins anew.
			if refuse := m.Filter.Duration(); refuse >= time.Second {
				x.declined[declineKey(id, &t.offer)] = refused{t.offer.Resources, x.r.m.w.ns + int64(refuse/4*3)}
			}
		}
	case *message.Reconcile:
		for _, ref := range m.Tasks {
			x.mustAnswer(l, id, ref)
		}
	case *message.KillTask:
		x.mustKill(l, id, m.Task)
	}
}

// afresh ends what frameworks have said against offers of a slave that comes in, or back.
func (x *oversight) afresh(s offer.SlaveID) {
	for key := range x.declined { // what is deleted does not depend on the order
		if strings.Contains(key, "/"+string(s)+"/") {
			delete(x.declined, key)
		}
	}
}

// wants ends what a framework has said against offers.
func (x *oversight) wants(l *link, id offer.FrameworkID) {
	delete(x.suppressed, l)
	for key := range x.declined { // what is deleted does not depend on the order
		if len(key) > len(id) && key[:len(id)] == string(id) && key[len(id)] == '/' {
			delete(x.declined, key)
		}
	}
}

// accepted notes whether an accept must work (R2) or must not (R3).
func (x *oversight) accepted(l *link, id offer.FrameworkID, m *message.Accept) {
	clear(x.sound)
	good := m.Part == 0 && m.Last && len(m.Offers) > 0 && id != ""
	var first offer.Offer
	for i, o := range m.Offers {
		t, ok := x.offers[o]
		good = good && ok && t.link == l
		if i == 0 {
			first = t.offer
		}
		good = good && t.offer.SlaveID == first.SlaveID && t.offer.Role == first.Role
		if ok && t.link == l {
			delete(x.offers, o)
		}
	}
	if m.Part > 0 || !m.Last {
		return
	}
	for i := range m.Operations {
		for j := range m.Operations[i].Tasks {
			key := keyOf(id, m.Operations[i].Tasks[j].ID)
			if good {
				x.sound[key] = true
				delete(x.inert, key)
			} else {
				x.inert[key] = true
			}
		}
	}
}

// told sees what the leader sends.
func (x *oversight) told(l *link, m message.Message) {
	w := x.r.m.w
	switch m := m.(type) {
	case *message.Subscribed:
		x.welcomed(l, m.ID)
	case *message.SlaveRegistered:
		x.slaves[m.ID] = l
		x.afresh(m.ID)
	case *message.Offers:
		x.offered(l, m.Offers)
	case *message.Rescind:
		for _, o := range m.Offers {
			delete(x.offers, o)
		}
	case *message.Launch:
		for i := range m.Tasks {
			if key := keyOf(m.Framework.ID, m.Tasks[i].ID); x.inert[key] { // R3: a stale accept is inert
				w.violate("R3", "%s launches %s, which was to run on an offer that is not outstanding", x.r.m.id, key)
			}
		}
	case *message.Update:
		x.updated(l, m)
	case *message.Kill:
		x.kills[keyOf(m.Framework, m.Task)] = l
	case *message.Drain:
		if s, is := l.client.(*slave); is && m.Config != nil {
			x.drains[s.sid] = l
		}
	case *message.FrameworkShutdown:
		x.endings[m.Framework] = append(x.endings[m.Framework], l)
	}
	if later := knows(l); later > x.r.number { // L1: who knows a later reign is not served by an earlier one
		w.violate("L1", "%s of reign %d sends %T to %s, which has seen reign %d", x.r.m.id, x.r.number, m, l.client.name(), later)
	}
}

// knows is the highest reign that the client of a connection knew when it was made, and has not been told on it.
func knows(l *link) uint64 {
	switch c := l.client.(type) {
	case *slave:
		if c.conn == l && c.alive {
			return c.reign
		}
	case *framework:
		if c.conn == l && c.alive && c.core != nil {
			return c.core.Reign()
		}
	}
	return 0
}

func (x *oversight) welcomed(l *link, id offer.FrameworkID) {
	w := x.r.m.w
	if _, is := l.client.(*hostile); is && w.history.owners[id] != nil { // F4: nobody comes in another's name
		w.violate("F4", "%s welcomes a stranger as %s, which is %s", x.r.m.id, id, w.history.owners[id].id)
	}
	x.frameworks[l] = id
	if old := x.current[id]; old != l {
		for o, t := range x.offers { // what is deleted does not depend on the order
			if t.link == old {
				delete(x.offers, o)
			}
		}
	}
	x.current[id] = l
}

func (x *oversight) offered(l *link, offers []offer.Offer) {
	w := x.r.m.w
	if x.suppressed[l] { // R9: who suppresses all its roles has none for offers
		w.violate("R9", "%s offers %s to %s, which has suppressed its roles", x.r.m.id, offers[0].ID, l.client.name())
	}
	for i := range offers {
		o := &offers[i]
		x.offers[o.ID] = told{l, *o}
		key := declineKey(o.FrameworkID, o)
		if d, ok := x.declined[key]; ok && w.ns < d.until && d.resources.Contains(o.Resources) && !w.operator.touched(o.Role) { // R10: it is another's turn
			w.violate("R10", "%s offers %s of %s in role %s to %s, which has declined %s a while ago", x.r.m.id, o.Resources, o.SlaveID, o.Role,
				l.client.name(), d.resources)
		}
	}
}

func (x *oversight) updated(l *link, m *message.Update) {
	w, st := x.r.m.w, m.Status
	key := keyOf(x.frameworks[l], st.TaskID)
	x.spoken[key] = w.ns
	switch st.State {
	case offer.Unreachable, offer.Lost, offer.Gone, offer.GoneByOperator, offer.Dropped:
		x.lost[key] = w.ns
	}
	if st.Reason == offer.ReasonInvalidOffers && x.sound[key] { // R2: an offer stands until it is rescinded
		w.violate("R2", "%s drops %s, whose offers were outstanding and not rescinded", x.r.m.id, key)
	}
	if st.State == offer.Unreachable && st.Source == offer.SourceMaster {
		// L2: the registry first. It may be ahead of a leader that did not learn what became of a write.
		if rec, ok := x.r.m.state.View().Slave(st.SlaveID); ok && rec.State == registry.SlaveAdmitted && w.now.Sub(x.r.unlearned) > repeats {
			w.violate("L2", "%s says that %s is unreachable with its slave %s, which is admitted in its registry", x.r.m.id, key, st.SlaveID)
		}
	}
}

// at reports whether a slave is on this leader's books and connected to it.
func (x *oversight) at(s *slave) bool {
	l := x.slaves[s.sid]
	if l == nil || l != s.conn || l.severed {
		return false
	}
	v, ok := x.r.core.View().Slave(s.sid)
	return ok && v.State == mastercore.SlaveConnected
}

// hears reports whether a connection is the one on which a framework is told things, and neither side has closed it.
func (x *oversight) hears(l *link, id offer.FrameworkID) bool {
	return x.current[id] == l && !l.severed && !l.dismissed
}

// later runs a check some time from now, if the leader was able to do its work meanwhile.
func (x *oversight) later(d time.Duration, check func()) {
	w, m := x.r.m.w, x.r.m
	from, life := w.ns, m.life
	w.after(d, func() {
		if !x.r.ended && m.life == life && !m.paused && m.cost == 0 && m.stood < from {
			check()
		}
	})
}

// answerTime is how long a leader may take for what it does at once.
const answerTime = 2 * time.Second

// mustAnswer expects the state of a task that runs on a connected slave (T8).
func (x *oversight) mustAnswer(l *link, id offer.FrameworkID, ref message.TaskRef) {
	h := &x.r.m.w.history
	rec := h.find(id, ref.Task)
	if id == "" || x.current[id] != l || rec == nil || !rec.running || rec.slave == nil || !x.at(rec.slave) {
		return
	}
	from, known := h.w.ns, x.r.core.Knows(id, ref.Task)
	x.later(answerTime, func() {
		if at, ok := x.spoken[rec.key]; (!ok || at < from) && (known || !x.r.office.confirms.mayWait(h.w.ns, from)) && x.hears(l, id) && rec.running && x.at(rec.slave) {
			h.w.violate("T8", "%s was asked for %s %v ago, which runs on %s, and has not answered", x.r.m.id, rec.key, answerTime, rec.slave.id)
		}
	})
}

// mustKill expects that a kill gets to the slave on which the task runs (T7).
func (x *oversight) mustKill(l *link, id offer.FrameworkID, task offer.TaskID) {
	h := &x.r.m.w.history
	rec := h.find(id, task)
	if id == "" || x.current[id] != l || rec == nil || !rec.running || rec.slave == nil || !x.at(rec.slave) {
		return
	}
	s := rec.slave
	to := s.conn
	x.later(answerTime, func() {
		if rec.running && s.conn == to && x.at(s) && x.hears(l, id) && x.kills[rec.key] != to {
			h.w.violate("T7", "%s was asked %v ago to kill %s, and has not told %s", x.r.m.id, answerTime, rec.key, s.id)
		}
	})
}

// mustEnd expects that the slaves on which a framework runs something are told that it is over (F5).
func (x *oversight) mustEnd(id offer.FrameworkID) {
	w := x.r.m.w
	for _, s := range w.slaves {
		if !x.at(s) || !s.runs(id) {
			continue
		}
		to := s.conn
		x.later(10*answerTime, func() {
			f, ok := x.r.core.View().Framework(id)
			if ok && !f.Completed || s.conn != to || !x.at(s) || !s.runs(id) {
				return
			}
			for _, l := range x.endings[id] {
				if l == to {
					return
				}
			}
			w.violate("F5", "%s is retired, and %s has not told %s, which runs tasks of it", id, x.r.m.id, s.id)
		})
	}
}

// mustDrain expects that a connected slave is told of the operator's wish (T7).
func (x *oversight) mustDrain(id offer.SlaveID) {
	w := x.r.m.w
	s := w.history.machines[id]
	if s == nil || s.sid != id || !x.at(s) {
		return
	}
	to := s.conn
	x.later(answerTime, func() {
		if v, ok := x.r.core.View().Slave(id); ok && v.Drain != nil && s.conn == to && x.at(s) && x.drains[id] != to {
			w.violate("T7", "%s was asked %v ago to drain %s, and has not told it", x.r.m.id, answerTime, s.id)
		}
	})
}

// runs reports whether a process of a framework's task runs on the machine.
func (s *slave) runs(id offer.FrameworkID) bool {
	for _, r := range s.runtime.running {
		if r.framework == id {
			return true
		}
	}
	return false
}

// mustMourn expects that the owners of what runs on a slave that is out of reach are told (T1).
func (x *oversight) mustMourn(id offer.SlaveID) {
	h := &x.r.m.w.history
	s := h.machines[id]
	if s == nil || s.sid != id || x.slaves[id] == nil {
		return
	}
	from := h.w.ns
	for _, rec := range s.runtime.running {
		l := x.current[rec.framework]
		if l == nil || !x.hears(l, rec.framework) || h.retired[rec.framework] {
			continue
		}
		x.later(answerTime, func() {
			v, ok := x.r.core.View().Slave(id)
			if !ok || v.State != mastercore.SlaveUnreachable || !x.hears(l, rec.framework) || h.retired[rec.framework] {
				return
			}
			if at, ok := x.lost[rec.key]; !ok || at < from {
				h.w.violate("T1", "%s has marked %s unreachable and not told the owner of %s", x.r.m.id, id, rec.key)
			}
		})
	}
}

// named sees which tasks a slave names to a master: no running one is forgotten (S7).
func (h *history) named(s *slave, m *message.SlaveReregister) {
	if m.Part > 0 || !m.Last {
		return
	}
	names := make(map[string]bool, len(m.Tasks))
	for i := range m.Tasks {
		names[keyOf(m.Tasks[i].Framework, m.Tasks[i].Task.ID)] = true
	}
	for _, r := range s.runtime.running {
		if !names[r.key] {
			h.w.violate("S7", "%s comes back without %s, which runs there", s.id, r.key)
		}
	}
}
