package master

import (
	"context"
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
)

// maxQuestions bounds those that wait for the core, each of which may keep it busy for some milliseconds.
const maxQuestions = 8

// An Explanation says why a framework is offered nothing.
type Explanation struct {
	allocator.Explanation          // the causes, by role
	Notes                 []string // what else the master knows, in sentences
}

// String says all of it to an operator, one line for each cause.
func (e Explanation) String() string { return mastercore.Why(e).String() }

// Explain says why a framework is offered nothing in a role, or in all of its roles if that is empty, on a slave, or on all slaves if that is
// empty, and what would change that. It changes nothing. To be called on the leader, as the calls of operators; what is not known is refused.
func (m *Master) Explain(ctx context.Context, framework offer.FrameworkID, role string, slave offer.SlaveID) (Explanation, error) {
	why, err := m.explain(ctx, framework, role, slave)
	if err != nil {
		return Explanation{}, fmt.Errorf("master: explain: %w", err)
	}
	return Explanation(why), nil
}

func (m *Master) explain(ctx context.Context, framework offer.FrameworkID, role string, slave offer.SlaveID) (mastercore.Why, error) {
	r := m.current.Load()
	if r == nil {
		return mastercore.Why{}, m.notLeading()
	}
	q := &question{ctx: ctx, framework: framework, role: role, slave: slave, answer: make(chan answerOf, 1)}
	if !r.ask(q) {
		return mastercore.Why{}, offer.Refuse(offer.ReasonLimitReached, fmt.Sprintf("%d such questions are waiting", maxQuestions))
	}
	select {
	case a := <-q.answer:
		if a.bad != nil {
			return mastercore.Why{}, a.bad
		}
		return a.why, nil
	case <-ctx.Done():
		return mastercore.Why{}, ctx.Err()
	case <-r.loop.Done():
		return mastercore.Why{}, m.notLeading()
	}
}

// question is for the core, which only the loop's goroutine may ask.
type question struct {
	ctx       context.Context
	framework offer.FrameworkID
	role      string
	slave     offer.SlaveID
	answer    chan answerOf // takes one without waiting
}

type answerOf struct {
	why mastercore.Why
	bad *offer.Refusal
}

// ask queues a question, unless too many wait, and wakes the loop for it.
func (r *reign) ask(q *question) bool {
	select {
	case r.questions <- q:
		r.loop.Complete(mastercore.Tick{})
		return true
	default:
		return false
	}
}

// reply answers one question, so that several do not hold the loop up at once.
func (r *reign) reply(now time.Time) {
	select {
	case q := <-r.questions:
		if q.ctx.Err() != nil {
			return // nobody waits any more
		}
		why, bad := r.core.Explain(now, q.framework, q.role, q.slave)
		q.answer <- answerOf{why, bad}
	default:
	}
}
