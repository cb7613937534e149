package master

import (
	"context"
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
)

// resignTimeout bounds how long a resigning master looks for a successor.
const resignTimeout = 10 * time.Second

// perform is the one switch over what the core wants. It runs on the loop's goroutine and never waits: connections get what is sent to them
// with one flush each, and registry writes go to the log together.
func (r *reign) perform(effects []mastercore.Effect) error {
	r.mu.Lock()
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
			done := r.calls[e.Token]
			delete(r.calls, e.Token)
			if done != nil {
				done(e.Refusal)
			}
		case mastercore.Resign:
			r.log.Error("resigning", "why", e.Refusal)
			r.resign()
		case mastercore.Note:
			r.note(e)
		default:
			r.mu.Unlock()
			panic(fmt.Sprintf("master: effect %T is not known", e))
		}
	}
	r.mu.Unlock()
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
	return nil
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
	r.log.Info(n.Event, "slave", n.Slave, "framework", n.Framework, "task", n.Task, "reason", n.Reason.String(), "text", n.Text)
	if f := r.m.cfg.Hooks.Note; f != nil {
		f(Note{Event: n.Event, Slave: n.Slave, Framework: n.Framework, Task: n.Task, Reason: n.Reason, Text: n.Text})
	}
}
