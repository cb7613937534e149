package discovery

import (
	"sync"
	"time"
)

const (
	quietFor  = 10 * time.Second // after a line about one kind of trouble
	quietKeys = 64               // kinds that are remembered
)

// A quiet keeps strangers from filling the log: of each kind of trouble, one line is let through in a while.
type quiet struct {
	mu    sync.Mutex
	lines map[string]*line
}

type line struct {
	at   time.Time
	more int // that were held back since
}

// allow tells whether a line of this kind may be written now, and how many were held back before it.
func (q *quiet) allow(kind string, now time.Time) (ok bool, more int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lines == nil || len(q.lines) >= quietKeys && q.lines[kind] == nil {
		q.lines = map[string]*line{}
	}
	l := q.lines[kind]
	switch {
	case l == nil:
		q.lines[kind] = &line{at: now}
		return true, 0
	case now.Sub(l.at) < quietFor:
		l.more++
		return false, 0
	}
	more = l.more
	l.at, l.more = now, 0
	return true, more
}
