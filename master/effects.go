package master

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/offer"
)

// answered is an operator's call whose outcome is known.
type answered struct {
	done    func(*offer.Refusal)
	refusal *offer.Refusal
}

// resignTimeout bounds how long a resigning master looks for a successor.
const resignTimeout = 10 * time.Second

// perform is the one switch over what the core wants. It runs on the loop's goroutine and never waits: connections get what is sent to them
// with one flush each, registry writes go to the log together, and what others supplied (hooks, answers) is called last, without a lock.
func (r *reign) perform(effects []mastercore.Effect) error {
	r.sort(effects)
	for i, c := range r.touched {
		c.flush()
		if c.closing {
			c.close()
		}
		c.touched = false
		r.touched[i] = nil
	}
	r.touched = r.touched[:0]
	if len(r.writes) > 0 {
		r.propose.add(r.writes)
		clear(r.writes)
		r.writes = r.writes[:0]
	}
	for _, a := range r.answers {
		a.done(a.refusal)
	}
	clear(r.answers)
	r.answers = r.answers[:0]
	for _, n := range r.notes {
		r.note(n)
	}
	clear(r.notes)
	r.notes = r.notes[:0]
	return nil
}

func (r *reign) sort(effects []mastercore.Effect) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range effects {
		switch e := e.(type) {
		case mastercore.Send:
			if c := r.conns[e.Conn]; c != nil {
				c.send(r.envelope(e.Message))
				r.touch(c)
			}
		case mastercore.Close:
			if c := r.conns[e.Conn]; c != nil {
				c.closing = true
				r.touch(c)
			}
		case mastercore.Propose:
			r.writes = append(r.writes, e)
		case mastercore.Answer:
			if done := r.calls[e.Token]; done != nil {
				delete(r.calls, e.Token)
				r.answers = append(r.answers, answered{done, e.Refusal})
			}
		case mastercore.Resign:
			r.log.Error("resigning", "why", e.Refusal)
			r.resign()
		case mastercore.Note:
			r.notes = append(r.notes, e)
		default:
			panic(fmt.Sprintf("master: effect %T is not known", e))
		}
	}
}

func (r *reign) touch(c *conn) {
	if !c.touched {
		c.touched = true
		r.touched = append(r.touched, c)
	}
}

// resign ends the reign beside the loop, which goes on until the Term is over.
func (r *reign) resign() {
	r.m.wg.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), resignTimeout)
		defer cancel()
		if err := r.term.Resign(ctx); err != nil {
			r.log.Error("resigning failed", "err", err)
		}
	})
}

func (r *reign) note(n mastercore.Note) {
	if r.log.Enabled(context.Background(), slog.LevelInfo) {
		r.log.Info(n.Event, "slave", n.Slave, "framework", n.Framework, "task", n.Task, "reason", n.Reason.String(), "text", n.Text)
	}
	if f := r.m.cfg.Hooks.Note; f != nil {
		f(Note{Event: n.Event, Slave: n.Slave, Framework: n.Framework, Task: n.Task, Reason: n.Reason, Text: n.Text})
	}
}
