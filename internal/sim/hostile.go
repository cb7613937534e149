package sim

import (
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A hostile is a stranger on a connection of its own, who says what only others may say. Whatever it tries, the others must not notice.
type hostile struct {
	node
	left []message.Message
	conn *link

	cluster offer.ClusterID // of which it says that it is
	reign   uint64          // that it says it has seen
}

func (h *hostile) name() string                    { return h.id }
func (h *hostile) self() *node                     { return &h.node }
func (h *hostile) closed(*link)                    { h.died() }
func (h *hostile) receive(*link, message.Envelope) {}

// stranger sends one against the leader.
func (w *World) stranger() {
	if w.log.leader == nil {
		return
	}
	h := &hostile{node: node{w: w, id: "bad", alive: true}}
	if w.chance(0.5) {
		h.left = w.falseFramework()
	} else {
		h.left = w.falseSlave()
	}
	w.note("bad", "a stranger with %d messages", len(h.left))
	w.send(h, 0)
}

// send has a stranger speak to the leader, and go after a while, which is drawn if it is zero.
func (w *World) send(h *hostile, stays time.Duration) {
	w.dial(h, w.log.leader.m, func(l *link) {
		if l == nil {
			return
		}
		h.conn = l
		h.say()
		if stays == 0 {
			stays = w.between(time.Second, 3*time.Minute)
		}
		w.after(stays, func() { l.sever(time.Second) })
	})
}

func (h *hostile) say() {
	if len(h.left) == 0 || !h.alive {
		return
	}
	h.conn.toMaster(message.Envelope{Cluster: h.cluster, Reign: h.reign, Message: h.left[0]})
	h.left = h.left[1:]
	h.w.after(h.w.between(time.Millisecond, 2*time.Second), h.say)
}

// victims are things of others to be talked about.
func (w *World) victims() (offers []offer.OfferID, tasks []*record) {
	for o := range w.log.leader.core.View().Offers() {
		offers = append(offers, o.ID)
	}
	for _, r := range w.history.order {
		if r.running {
			tasks = append(tasks, r)
		}
	}
	return offers, tasks
}

// falseFramework speaks as a scheduler: with another's id or without any, about offers and tasks of others.
func (w *World) falseFramework() (out []message.Message) {
	offers, tasks := w.victims()
	info := offer.Framework{Name: "bad", Roles: []string{"*"}, Principal: "bad"}
	switch f := w.frameworks; {
	case len(f) > 0 && w.chance(0.4):
		info.ID = f[w.random.IntN(len(f))].fid
	case w.chance(0.2):
		info.Roles = []string{"no such/../role", ""}
	}
	if w.chance(0.8) {
		out = append(out, &message.Subscribe{Nonce: w.uuid(), Framework: info})
	}
	for range w.random.IntN(20) {
		var task *record
		if len(tasks) > 0 {
			task = tasks[w.random.IntN(len(tasks))]
		}
		switch w.random.IntN(7) {
		case 0:
			if len(offers) > 0 {
				t := offer.Task{ID: "bad", Resources: need, Command: &offer.Command{Value: "bad"}}
				out = append(out, &message.Accept{Last: true, Offers: offers[:1+w.random.IntN(len(offers))], Operations: []offer.Operation{offer.Launch(t, t)}})
			}
		case 1:
			out = append(out, &message.Decline{Offers: offers, Filter: offer.Filter{Refuse: offer.NoFilter}})
		case 2:
			if task != nil {
				out = append(out, &message.KillTask{Task: task.id(), Slave: task.slave.sid})
			}
		case 3:
			if task != nil && len(task.log) > 0 {
				out = append(out, &message.Acknowledge{Slave: task.slave.sid, Task: task.id(), UUID: task.log[len(task.log)-1].uuid})
			}
		case 4:
			out = append(out, &message.Reconcile{Tasks: []message.TaskRef{{Task: "bad", Slave: "s-1"}, {Task: ""}}})
		case 5:
			out = append(out, &message.ShutdownExecutor{Slave: "s-1", Executor: "x"}, &message.Accept{Part: 7})
		case 6:
			out = append(out, &message.Pong{})
		}
	}
	return out
}

// falseSlave speaks as a slave: with another's id, with resources that nobody has, about tasks that it never got.
func (w *World) falseSlave() (out []message.Message) {
	_, tasks := w.victims()
	info := offer.Slave{Hostname: "bad", Resources: resource.Must("cpus:1000000;mem:1000000")}
	switch w.random.IntN(4) {
	case 0:
		info.ID = w.anySlave().sid
		out = append(out, &message.SlaveReregister{Slave: info, Last: true})
	case 1:
		info.Resources = nil
		out = append(out, &message.SlaveRegister{Nonce: w.uuid(), Slave: info})
	case 2: // is taken in, and does not do what it is told
		out = append(out, &message.SlaveRegister{Nonce: w.uuid(), Slave: info})
	}
	for range w.random.IntN(20) {
		if len(tasks) == 0 {
			break
		}
		t := tasks[w.random.IntN(len(tasks))]
		switch w.random.IntN(4) {
		case 0:
			st := offer.Status{TaskID: t.id(), SlaveID: t.slave.sid, State: offer.Failed, Source: offer.SourceSlave, UUID: w.uuid()}
			out = append(out, &message.StatusUpdate{Framework: t.framework, Status: &st, Latest: offer.Failed})
		case 1:
			out = append(out, &message.SlaveUnregister{})
		case 2:
			out = append(out, &message.OperationUpdate{Framework: t.framework, Status: offer.OperationStatus{ID: "bad", State: offer.OperationFinished, UUID: w.uuid()}})
		case 3:
			out = append(out, &message.SlaveReregister{Slave: info, Part: 3})
		}
	}
	return out
}

// id is the task's own.
func (r *record) id() offer.TaskID { return offer.TaskID(r.key[len(r.framework)+1:]) }
