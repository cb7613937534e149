package mastercore

import (
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
)

// confirmations gather what this master may say only while it leads: answers to Renew, that leases have run out, and that it does not know
// what it was asked for (see question). A commit shows that no other reign had begun when it was proposed; one of them is under way at a time,
// for all that was asked before.
type confirmations struct {
	renewals  []uint32   // slaves that asked, since the last proposal
	over      []uint32   // slaves that have leases which look as if they had run out
	questions []question // likewise since the last proposal
	underWay  bool
	next      moment // the earliest time of the next proposal
	soon      moment // the same if it has questions
	timer     moment // when a proposal is looked at again; zero: no timer is set

	open    int // questions that are not answered yet, those in a proposal or in a job included
	dropped int // questions since the last note that there was no room for
}

// confirmPause is the least time between two proposals, so that the renewals of a large fleet do not become a commit each; questionPause is
// that after one which was made for questions.
const (
	confirmPause  = 100 * time.Millisecond
	questionPause = 20 * time.Millisecond
)

// confirmed is one proposal: what it is about is what was known before it was made.
type confirmed struct {
	renewals  []renewal
	over      []uint32
	questions []question
	at        moment
}

// renewal is one slave's question.
type renewal struct {
	n    uint32
	conn ConnID
	seq  uint64
}

func (c *Core) proposeConfirmation() {
	p := &c.confirm
	if p.underWay || len(p.renewals)+len(p.over)+len(p.questions) == 0 {
		return
	}
	at := p.next
	if len(p.questions) > 0 {
		at = p.soon
	}
	if c.tick < at {
		if p.timer == 0 || p.timer > at {
			p.timer = at
			c.timers.set(timerConfirm, 0, at)
		}
		return
	}
	p.underWay, p.next = true, c.in(confirmPause)
	done := &confirmed{over: p.over, questions: p.questions, at: c.tick}
	if len(done.questions) > 0 {
		p.soon = c.in(questionPause)
	}
	for _, n := range p.renewals {
		if s := c.slaves.mut(n); s.renewal != 0 {
			done.renewals = append(done.renewals, renewal{n, s.conn, s.renewal})
			s.renewal = 0
		}
	}
	p.renewals, p.over, p.questions = nil, nil, nil
	c.propose(done, &registry.Confirm{})
}

func (p *confirmed) committed(c *Core, results []registry.Result) {
	c.confirm.underWay = false
	if bad := results[0].Err; bad != nil {
		c.resign(bad)
		return
	}
	for _, r := range p.renewals {
		if s := c.slaves.mut(r.n); s.conn == r.conn && s.connected() {
			c.leaseGiven(r.n, s)
			c.send(s.conn, &message.Renewed{Seq: r.seq})
		}
	}
	for _, n := range p.over {
		c.leasesOver(n, c.slaves.mut(n), p.at)
	}
	if j := (&answers{p.questions}); j.run(c) {
		c.jobs = append(c.jobs, j)
	}
	c.proposeConfirmation()
}
