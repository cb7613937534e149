package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// office is what the observer keeps for one reign: what its leader has offered, launched and promised, and on which streams.
type office struct {
	began    int64
	book     map[offer.OfferID]*link // offers that are told and neither answered nor taken back; looked up
	taken    map[offer.OfferID]bool  // offers that were taken back; looked up
	launched map[taskKey]bool        // looked up
	streams  map[offer.FrameworkID]*link
	voids    offer.FrameworkID    // whose accept is at hand, if its offers cannot be used
	stale    map[offer.TaskID]int // of the accept at hand, if its offers cannot be used: how many answers are due
	intruder *link                // whose message is at hand, if it may not call
	asked    map[taskKey]int64    // reconciled then, and not answered since; looked up
	waits    map[offer.FrameworkID]*wait
	retired  map[offer.FrameworkID]bool     // its end was proposed; looked up
	amounts  map[taskKey]resource.Resources // what tasks were accepted with and not launched yet; looked up
	quotas   quotaWatch
	confirms confirmWatch
}

type taskKey struct {
	framework offer.FrameworkID
	task      offer.TaskID
}

func newOffice(w *World) office {
	return office{began: w.ns, book: map[offer.OfferID]*link{}, taken: map[offer.OfferID]bool{}, launched: map[taskKey]bool{},
		streams: map[offer.FrameworkID]*link{}, asked: map[taskKey]int64{}, waits: map[offer.FrameworkID]*wait{}, retired: map[offer.FrameworkID]bool{},
		amounts: map[taskKey]resource.Resources{}}
}

// live reports whether a connection is the framework's one stream.
func (o *office) live(l *link) bool { return l.stream != "" && o.streams[l.stream] == l }

// asked sees what arrives at a leader.
func (h *history) asked(r *reign, l *link, m message.Message) {
	o := &r.office
	if l == nil { // it has ended meanwhile
		return
	}
	k := m.Kind()
	if calls := k > message.KindSubscribe && k < message.KindSubscribed; calls && !o.live(l) {
		o.intruder = l
	}
	switch m := m.(type) {
	case *message.Subscribe:
		h.knocked(r, m.Framework.ID)
	case *message.Accept:
		h.accepted(r, l, m)
	case *message.Decline:
		for _, id := range m.Offers {
			if o.book[id] == l {
				delete(o.book, id)
			}
		}
	case *message.Reconcile:
		h.reconciling(r, l, m)
	case *message.Teardown:
		if o.live(l) {
			h.torn[l.stream] = true
		}
	}
}

// accepted sees an accept arrive. One that names an offer that is not on the table for its stream is void (R3).
func (h *history) accepted(r *reign, l *link, m *message.Accept) {
	o := &r.office
	h.asksFor(o, l, m)
	void := false
	for _, id := range m.Offers {
		void = void || o.book[id] != l
		if o.book[id] == l {
			delete(o.book, id)
		}
		if o.taken[id] {
			h.w.states.reach(StateRescindCrossed)
		}
	}
	if !void || m.Part > 0 || !m.Last || len(m.Operations) == 0 {
		return
	}
	o.voids, o.stale = l.stream, map[offer.TaskID]int{}
	v := r.core.View()
	known := map[offer.TaskID]bool{}
	for t := range v.TasksOf(l.stream) {
		known[t.ID] = true // the accept is a repeat of the one that launched it
	}
	for i := range m.Operations {
		for j := range m.Operations[i].Tasks {
			t := &m.Operations[i].Tasks[j]
			if s, ok := v.Slave(t.SlaveID); !ok && v.Summary().Recovering > 0 || ok && s.State != mastercore.SlaveConnected {
				continue // it may run there, launched by an earlier leader: until its slave is back nobody knows (T8)
			}
			if o.live(l) && !known[t.ID] && !o.launched[taskKey{l.stream, t.ID}] {
				o.stale[t.ID]++
			}
		}
	}
}

// asksFor notes what the tasks of an accept are to have. A program from outside may use an id again.
func (h *history) asksFor(o *office, l *link, m *message.Accept) {
	if f := h.owners[l.stream]; f == nil || f.outside() {
		return
	}
	for i := range m.Operations {
		for j := range m.Operations[i].Tasks {
			if t := &m.Operations[i].Tasks[j]; o.live(l) && !o.launched[taskKey{l.stream, t.ID}] {
				o.amounts[taskKey{l.stream, t.ID}] = t.Resources
			}
		}
	}
}

// stepped sees the end of the step that asked has seen the beginning of.
func (h *history) stepped(r *reign) {
	o := &r.office
	if o.stale != nil && !r.ended {
		for _, id := range slices.Sorted(maps.Keys(o.stale)) {
			if o.stale[id] > 0 {
				h.w.violate("R3", "%s does not answer for task %s of %s, whose accept came too late", r.m.id, id, o.voids)
			}
		}
	}
	o.stale, o.intruder = nil, nil
}

// commanded sees a leader tell a slave to do something for a framework.
func (h *history) commanded(r *reign, m message.Message) {
	o := &r.office
	if o.stale != nil {
		h.w.violate("R3", "%s sends %T after an accept of offers that are not on the table", r.m.id, m)
	}
	if o.intruder != nil {
		h.w.violate("F4", "%s sends %T for %s, which is not subscribed on its connection", r.m.id, m, o.intruder.client.name())
	}
}

// launches sees a task on its way to a slave: once for each id (T5).
func (h *history) launches(r *reign, m *message.Launch) {
	h.commanded(r, m)
	for i := range m.Tasks {
		key := taskKey{m.Framework.ID, m.Tasks[i].ID}
		if f := h.owners[key.framework]; r.office.launched[key] && (f == nil || !f.outside()) { // a program from outside may use an id again
			h.w.violate("T5", "%s launches %s of %s a second time", r.m.id, key.task, key.framework)
		}
		r.office.launched[key] = true
		if want, ok := r.office.amounts[key]; ok && !want.Equal(m.Tasks[i].Resources) { // R5: to the thousandth
			h.w.violate("R5", "%s launches %s of %s with %v, and it was to have %v", r.m.id, key.task, key.framework, m.Tasks[i].Resources, want)
		}
		delete(r.office.amounts, key)
	}
	r.office.quotas.launched(r, m)
}

// offersTold sees offers on their way to a framework.
func (h *history) offersTold(r *reign, l *link, m *message.Offers) {
	h.streamed(r, l, m)
	for i := range m.Offers {
		id := m.Offers[i].ID
		if s, again := h.offers[id]; again { // S4
			h.w.violate("S4", "%s gives the id %s to an offer of %s, after one of %s", r.m.id, id, m.Offers[i].SlaveID, s)
		}
		h.offers[id] = m.Offers[i].SlaveID
		r.office.book[id] = l
	}
	r.office.quotas.offered(r, m)
}

func (h *history) rescinded(r *reign, l *link, m *message.Rescind) {
	h.streamed(r, l, m)
	for _, id := range m.Offers {
		delete(r.office.book, id)
		r.office.taken[id] = true
	}
}

// welcomed sees a framework being told that it is subscribed: the connection that it had before was told so and closed (F1), and it is the
// same principal's (F4).
func (h *history) welcomed(r *reign, l *link, m *message.Subscribed) {
	w, o := h.w, &r.office
	rec, ok := r.m.state.View().Framework(m.ID)
	if !ok {
		w.violate("L2", "%s welcomes framework %s, which is not in its registry", r.m.id, m.ID)
		return
	}
	if p := l.principal(); p != "" && rec.Framework.Principal != p {
		w.violate("F4", "%s welcomes %s as %s, which is of principal %q", r.m.id, p, m.ID, rec.Framework.Principal)
	}
	if old := o.streams[m.ID]; old != nil && old != l && r.conns[old.id] == old && !(old.told && old.dismissed) {
		w.violate("F1", "%s has a new stream for %s, and the old one is not told and closed", r.m.id, m.ID)
	}
	l.stream, o.streams[m.ID] = m.ID, l
	delete(o.waits, m.ID)
}

// streamed sees a leader use a framework's stream: there is one (F1).
func (h *history) streamed(r *reign, l *link, m message.Message) {
	if l.stream != "" && r.office.streams[l.stream] != l {
		h.w.violate("F1", "%s sends %T to a stream of %s that was replaced", r.m.id, m, l.stream)
	}
}

// reconciling sees a framework ask for tasks: with every slave back, each is answered within two seconds; one that the leader does not know, if
// it can commit (T8).
func (h *history) reconciling(r *reign, l *link, m *message.Reconcile) {
	w, o := h.w, &r.office
	v := r.core.View()
	if !o.live(l) || l.dismissed || w.log.leader != r || v.Summary().Recovering > 0 {
		return
	}
	var open []taskKey
	known := map[taskKey]bool{}
	for i, ref := range m.Tasks {
		if i == 8 { // as good as all, and cheaper
			break
		}
		rec := h.find(l.stream, ref.Task)
		if rec == nil || rec.slave == nil || rec.slave.conn == nil {
			continue
		}
		if s, is := v.Slave(ref.Slave); is && s.State == mastercore.SlaveDisconnected && rec.slave.sid != ref.Slave {
			continue // its machine is another slave now, which the leader cannot know: to it the one of before may come back
		}
		key := taskKey{l.stream, ref.Task}
		if o.asked[key] != 0 { // it is being watched
			continue
		}
		o.asked[key] = w.ns
		open = append(open, key)
		known[key] = r.core.Knows(key.framework, key.task)
	}
	if len(open) == 0 {
		return
	}
	from := w.ns
	w.after(2*time.Second, func() {
		for _, key := range open {
			if o.asked[key] != from { // answered, and asked for again
				continue
			}
			due := known[key] || !o.confirms.mayWait(w.ns, from)
			if due && !r.ended && !r.m.paused && r.m.cost == 0 && r.m.stood < from && o.live(l) && !l.severed && !l.dismissed {
				w.violate("T8", "%s has not answered %s about %s for two seconds", r.m.id, key.framework, key.task)
			}
			delete(o.asked, key)
		}
	})
}

// updates sees a status on its way to a framework.
func (h *history) updates(r *reign, l *link, m *message.Update) {
	h.streamed(r, l, m)
	o := &r.office
	if len(o.asked) > 0 {
		delete(o.asked, taskKey{l.stream, m.Status.TaskID})
	}
	if m.Status.Reason != offer.ReasonInvalidOffers {
		return
	}
	h.w.states.reach(StateInvalidOffers)
	if due, is := o.stale[m.Status.TaskID]; is {
		if due == 0 || m.Status.State != offer.Dropped && m.Status.State != offer.Lost {
			h.w.violate("R3", "%s answers %s for task %s, whose accept came too late; %d answers are due", r.m.id, m.Status.State, m.Status.TaskID, due)
		}
		o.stale[m.Status.TaskID]--
	}
}

// quotaWatch looks at what a leader does under a limit (R8).
type quotaWatch struct {
	looked int
	known  int                    // slaves on record when the reign began
	missed map[offer.SlaveID]bool // those of them that are not back; counted
	held   map[string]bool        // roles that had a quota then, and still have it; looked up
}

// begin notes what the leader cannot know yet.
func (q *quotaWatch) begin(r *reign) {
	q.missed, q.held = map[offer.SlaveID]bool{}, map[string]bool{}
	v := r.m.state.View()
	for rec := range v.Roles() {
		if len(rec.Guarantee)+len(rec.Limit) > 0 {
			q.held[rec.Role] = true
		}
	}
	if len(q.held) == 0 {
		return
	}
	for rec := range v.Slaves() {
		if rec.State == registry.SlaveAdmitted {
			q.missed[rec.Slave.ID] = true
			q.known++
		}
	}
}

// quotaShare of the slaves on record must be back, in percent, or the time of the others be over, before a role with a quota is offered
// anything. A clock may be fast.
const (
	quotaShare = 80
	quotaTime  = 9 * time.Minute
)

// offered checks the hold after a failover, and now and then that what is offered keeps the limits too.
func (q *quotaWatch) offered(r *reign, m *message.Offers) {
	w := r.m.w
	if len(q.held) > 0 && len(q.missed) > 0 && w.ns-r.office.began < int64(quotaTime) && q.holds(m.Offers[0].Role) {
		missed := 0
		for id := range q.missed {
			if rec, ok := r.m.state.View().Slave(id); ok && rec.State == registry.SlaveAdmitted {
				missed++
			}
		}
		if (q.known-missed)*100 < q.known*quotaShare {
			w.violate("R8", "%s offers to role %s, which has a quota, and %d of %d slaves are not back", r.m.id, m.Offers[0].Role, missed, q.known)
		}
	}
	if q.looked++; q.looked%32 == 0 && len(w.operator.limits) > 0 {
		q.keeps(r, m.Offers[0].Role, true)
	}
}

func (q *quotaWatch) holds(role string) bool {
	return q.held[role] || slices.ContainsFunc(resource.RoleAncestors(role), func(r string) bool { return q.held[r] })
}

// launched checks that a launch in a role with a limit keeps it.
func (q *quotaWatch) launched(r *reign, m *message.Launch) {
	if len(r.m.w.operator.limits) > 0 {
		q.keeps(r, m.Role, false)
	}
}

// keeps compares what a role and those below it use, and are offered if so asked, with its limit. What a slave brings back that was away when
// the offer was made may be on top, so that the rule is looked at only where all have been there for longer than an offer lives.
func (q *quotaWatch) keeps(r *reign, of string, offers bool) {
	w := r.m.w
	limited := ""
	for _, role := range append([]string{of}, resource.RoleAncestors(of)...) {
		if rec, ok := r.m.state.View().Role(role); ok && len(rec.Limit) > 0 {
			limited = role
			break
		}
	}
	if limited == "" || w.ns-r.office.began < int64(offerLife) || w.ns-w.operator.changed < int64(offerLife) || w.ns-w.operator.lastAway(r) < int64(offerLife) {
		return
	}
	rec, _ := r.m.state.View().Role(limited)
	v := r.core.View()
	var sum resource.Resources
	for t := range v.Tasks() {
		if (t.Role == limited || resource.IsDescendant(t.Role, limited)) && !t.Latest.Terminal() && t.State != offer.Unreachable {
			sum = sum.Add(t.Resources)
		}
	}
	used := resource.Sum(sum).Quantities()
	if offers {
		for o := range v.Offers() {
			if o.Role == limited || resource.IsDescendant(o.Role, limited) {
				sum = sum.Add(o.Resources)
			}
		}
	}
	all := resource.Sum(sum).Quantities()
	for _, limit := range rec.Limit {
		have := all.Get(limit.Name)
		if have > limit.Amount && (!offers || have > used.Get(limit.Name)) {
			w.violate("R8", "%s gives in role %s: %s has %s %v, of which it uses %v, and its limit is %v", r.m.id, of, limited, limit.Name, have, used.Get(limit.Name),
				limit.Amount)
		}
	}
}
