package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	maxReply = 64 << 10 // bytes of a line that a fetcher says
	// lateness is how long a fetcher may take to say that its time is up.
	lateness = 10 * time.Second
)

// work starts a fetcher and waits for its end; when ctx ends, it kills it. files are its descriptors from 3 on. room answers what it asks
// for, and h holds it.
func work(ctx context.Context, j *job, files []*os.File, room func(total int64) bool, h *Hold) error {
	slave := ctx
	ctx, cancel := context.WithTimeout(ctx, j.Timeout+lateness)
	defer cancel()
	c, err := StartChild(ctx, roleName, maxReply, files...)
	if err != nil {
		return err
	}
	if err := h.Attach(ctx, c); err != nil {
		c.Kill()
		c.End()
		return err
	}
	last, denied := c.converse(j, room)
	if last != (reply{}) {
		c.Kill() // it has said its last word; else the end of its stdin is its own
	}
	ended := c.End()
	switch {
	case slave.Err() != nil && !last.Done:
		return slave.Err()
	case ctx.Err() != nil && !last.Done:
		return fmt.Errorf("not done in %v, the most that is allowed for one task", j.Timeout)
	case denied:
		return errNoRoom
	case last.Error != "":
		return errors.New(Tame(last.Error))
	case !last.Done:
		if err := h.Broken(); err != nil {
			return err
		}
		return fmt.Errorf("the fetcher ended without a word: %s", ended)
	}
	return nil
}

// converse hands the job over and answers until the fetcher has said its last word.
func (c *Child) converse(j *job, room func(int64) bool) (last reply, denied bool) {
	c.Tell(j)
	for {
		var r reply
		switch err := c.Hear(&r); {
		case errors.Is(err, io.EOF):
			return reply{}, denied
		case err != nil:
			return reply{Error: "the fetcher " + err.Error()}, denied
		case r.Room == 0:
			return r, denied
		}
		granted := r.Room > 0 && room != nil && room(r.Room)
		denied = denied || !granted
		c.Tell(granted)
	}
}
