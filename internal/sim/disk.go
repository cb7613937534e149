package sim

import (
	"time"

	"github.com/meros-project/meros/internal/slavecore"
)

// A disk holds a slave's journal: what is flushed, and what is only written. A crash keeps a prefix of the latter.
type disk struct {
	records []slavecore.Record
	queue   []*write
	ends    time.Time // when the last flush under way ends
	hung    bool
	healed  int64 // when it last answered again
	full    bool
	broken  bool // a write of this life has failed: all later ones do
	rotten  bool // damaged at rest
	base    int  // records after the last compaction
	stuck   []func()
	kept    uint64 // the last checkpoint of this life of which something is on disk
	heard   uint64 // the last of which the process knows that it is: what it is told may wait for its turn
}

// A write is one flush under way. One that replaces is a whole new journal, put in place at once.
type write struct {
	token   uint64
	records []slavecore.Record
	replace bool
	told    bool // the slave believes that it is on disk
}

// write appends to the journal. Flushes end in order.
func (d *disk) write(s *slave, e slavecore.Checkpoint) {
	x := &write{token: e.Token, records: e.Records}
	d.enqueue(s, x)
	if p := s.w.cfg.Plant; p != nil && p.Early != nil && p.Early(x.records) {
		x.told = true
		s.step(slavecore.Checkpointed{Token: x.token})
	}
}

func (d *disk) enqueue(s *slave, x *write) {
	w, life := s.w, s.life
	d.queue = append(d.queue, x)
	at := w.now.Add(w.between(100*time.Microsecond, 5*time.Millisecond))
	if !w.calm && w.chance(w.swarm.slowDisk) {
		at = w.now.Add(w.mostly(50*time.Millisecond, 5*time.Second))
	}
	if at.Before(d.ends) {
		at = d.ends
	}
	d.ends = at
	w.at(at, func() {
		if s.life == life {
			s.disk.flush(s, x)
		}
	})
}

func (d *disk) flush(s *slave, x *write) {
	w, life := s.w, s.life
	if d.hung {
		d.stuck = append(d.stuck, func() {
			if s.life == life {
				s.disk.flush(s, x)
			}
		})
		return
	}
	d.queue = d.queue[1:]
	d.kept = max(d.kept, x.token)
	if d.broken || d.full || !w.calm && w.chance(w.swarm.diskFails) {
		w.note(s.id, "a flush of %d records fails", len(x.records))
		if !d.broken && !x.replace {
			d.keep(s, x.records[:w.random.IntN(len(x.records)+1)])
		}
		if d.full {
			w.states.reach(StateDiskFull)
		}
		d.broken = true
		if !x.replace {
			s.step(slavecore.CheckpointFailed{Token: x.token, Error: "no luck"})
		}
		return
	}
	if x.replace {
		w.states.reach(StateCompacted)
		d.records, d.base = x.records, len(x.records)
		return
	}
	d.keep(s, x.records)
	if !x.told {
		s.step(slavecore.Checkpointed{Token: x.token})
	}
}

// keep puts records where they survive.
func (d *disk) keep(s *slave, records []slavecore.Record) {
	for _, r := range records {
		s.w.history.flushed(s, r)
	}
	d.records = append(d.records, records...)
}

// drain is what a process that stops in good order does last: all that waits is written, if the disk lets it.
func (d *disk) drain(s *slave) {
	if d.hung || d.full || d.broken {
		return
	}
	for _, x := range d.queue {
		if x.replace {
			d.records, d.base = x.records, len(x.records)
		} else {
			d.keep(s, x.records)
		}
	}
	d.queue = nil
}

// lose is a crash: of what was not flushed a prefix survives, and the record behind it may be torn, which is as good as nothing.
func (d *disk) lose(s *slave) (kept, of int) {
	w := s.w
	var cache []slavecore.Record
	for _, x := range d.queue {
		if x.replace { // not in place yet
			break
		}
		cache = append(cache, x.records...)
	}
	of = len(cache)
	if !d.broken {
		kept = w.random.IntN(of + 1)
		d.keep(s, cache[:kept])
	}
	if kept < of {
		w.states.reach(StateTorn)
	}
	p := w.cfg.Plant
	if p != nil && p.Torn != nil && kept < of && !d.broken {
		if r := p.Torn(cache[kept]); r != nil {
			d.keep(s, []slavecore.Record{r})
		}
	}
	if p != nil && p.Journal != nil {
		d.records = p.Journal(s.id, d.records)
	}
	d.queue, d.stuck, d.broken = nil, nil, false
	d.ends, d.kept, d.heard = time.Time{}, 0, 0
	return kept, of
}

// compact replaces a journal that has grown to more than twice its size.
func (d *disk) compact(s *slave) {
	if s.core == nil || d.broken || len(d.records) < 200+2*d.base {
		return
	}
	for _, x := range d.queue {
		if x.replace {
			return
		}
	}
	d.enqueue(s, &write{records: s.core.Compact(), replace: true})
}

// heal makes the disk sound again.
func (d *disk) heal(ns int64) {
	d.hung, d.full, d.healed = false, false, ns
	stuck := d.stuck
	d.stuck = nil
	for _, do := range stuck {
		do()
	}
}
