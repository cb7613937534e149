package mastercore

import (
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// question is a framework's, about a task or an operation that this master does not know. That something is not there is a statement about
// the whole cluster: a later leader may have launched it on a slave that has left without this one having noticed. So it is answered when a
// commit that was proposed after the question has shown that there was no later leader, by what is known then. One that is not answered,
// since this master cannot commit or was deposed, is the framework's to ask again (T8).
type question struct {
	framework uint32
	conn      ConnID
	operation bool
	id        string // of the task or operation
	slave     offer.SlaveID
	lease     time.Duration
}

func taskQuestion(n uint32, f *framework, ref message.TaskRef) question {
	return question{framework: n, conn: f.conn, id: string(ref.Task), slave: ref.Slave, lease: ref.Lease}
}

// ask takes a question, if there is room for it. Whoever has asked all that there is to ask calls asked.
func (c *Core) ask(f *framework, q question) {
	p := &c.confirm
	if f.open >= c.cfg.MaxQuestions || p.open >= c.cfg.MaxAllQuestions {
		p.dropped++
		return
	}
	if len(q.slave) > offer.MaxID { // no slave has such an id, and it is not kept
		q.slave = ""
	}
	f.open++
	p.open++
	p.questions = append(p.questions, q)
}

// asked goes for the commit that the questions taken so far need.
func (c *Core) asked(f *framework) {
	if n := c.confirm.dropped; n > 0 {
		c.confirm.dropped = 0
		c.note(Note{Event: "questions dropped", Framework: f.info.ID, Reason: offer.ReasonLimitReached, Text: utoa(uint64(n))})
	}
	c.proposeConfirmation()
}

// answers is what a commit allows to say, a part at a time.
type answers struct{ questions []question }

func (j *answers) run(c *Core) bool {
	k := min(len(j.questions), c.cfg.MaxReconcile)
	for i := range j.questions[:k] {
		c.answerQuestion(&j.questions[i])
	}
	j.questions = j.questions[k:]
	c.proposeConfirmation() // for what has to be asked again
	return len(j.questions) > 0
}

func (j *answers) owner() uint32 { return 0 } // many frameworks

func (c *Core) answerQuestion(q *question) {
	f := c.frameworks.mut(q.framework)
	c.confirm.open--
	f.open = max(f.open-1, 0) // a framework that is no more has no count
	switch {
	case f.conn != q.conn || f.state != frameworkLive:
	case q.operation:
		ref := message.OperationRef{Operation: offer.OperationID(q.id), Slave: q.slave}
		state, _ := c.operationState(q.framework, ref)
		c.tellOperation(f, ref.Operation, ref.Slave, state, offer.ReasonReconciliation, "")
	default:
		c.answerReconcile(q.framework, f, message.TaskRef{Task: offer.TaskID(q.id), Slave: q.slave, Lease: q.lease}, true)
	}
}
