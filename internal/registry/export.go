package registry

import (
	"errors"
	"fmt"
	"iter"
)

// Export streams the view as records, one at a time: a snapshot of any size needs the memory of one record. The records are the
// registry's own and must not be changed.
func (v *View) Export() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		head := v.head
		more := yield(&head)
		if more {
			v.slaves.Scan(func(_ uint64, r *SlaveRecord) bool { more = yield(r); return more })
		}
		if more {
			v.gone.Scan(func(n uint64, _ struct{}) bool { more = yield(&GoneRecord{n}); return more })
		}
		if more {
			v.frameworks.Scan(func(_ uint64, r *FrameworkRecord) bool { more = yield(r); return more })
		}
		if more {
			v.roles.Scan(func(_ string, r *RoleRecord) bool { more = yield(r); return more })
		}
		if more {
			v.history.Scan(func(_ uint64, r *KeyRecord) bool { more = yield(r); return more })
		}
		if more {
			yield(&Trailer{v.slaves.Len(), v.gone.Len(), v.frameworks.Len(), v.roles.Len(), v.history.Len()})
		}
	}
}

// ErrTorn means that an export ended before its trailer.
var ErrTorn = errors.New("registry: the snapshot ends before its trailer")

// Import makes a state of what Export streamed. Any error of the stream, a record out of place, an id that was never handed out or a count
// that does not match the trailer makes it fail; there is no half-imported state. It keeps the records.
func Import(records iter.Seq2[Record, error]) (*State, error) {
	im := importer{s: New()}
	for r, err := range records {
		if err != nil {
			return nil, fmt.Errorf("registry: read snapshot: %w", err)
		}
		if err := im.add(r); err != nil {
			return nil, fmt.Errorf("registry: snapshot record %d: %w", im.count, err)
		}
		im.count++
	}
	if im.last != RecordTrailer {
		return nil, ErrTorn
	}
	return im.s, nil
}

type importer struct {
	s     *State
	last  RecordKind
	count int
}

func (im *importer) add(r Record) error {
	if r == nil {
		return errors.New("is empty")
	}
	kind := r.RecordKind()
	if (im.count == 0) != (kind == RecordHeader) || kind < im.last || im.last == RecordTrailer {
		return fmt.Errorf("kind %d may not follow kind %d", kind, im.last)
	}
	im.last = kind
	s := im.s
	switch r := r.(type) {
	case *Header:
		s.head = *r
	case *SlaveRecord:
		return im.addSlave(r)
	case *GoneRecord:
		if r.Number == 0 || r.Number > s.head.NextSlave {
			return fmt.Errorf("gone slave %d: was never admitted", r.Number)
		}
		s.gone.Set(r.Number, struct{}{})
	case *FrameworkRecord:
		n, ok := FrameworkNumber(r.Framework.ID)
		if !ok || n > s.head.NextFramework {
			return fmt.Errorf("framework %.40q: was never admitted", r.Framework.ID)
		}
		s.frameworks.Set(n, r)
	case *RoleRecord:
		s.roles.Set(r.Role, r)
	case *KeyRecord:
		if r.Seq == 0 || r.Seq > s.head.Commands {
			return fmt.Errorf("key of command %d: only %d were applied", r.Seq, s.head.Commands)
		}
		s.remember(r)
	case *Trailer:
		have := Trailer{s.slaves.Len(), s.gone.Len(), s.frameworks.Len(), s.roles.Len(), s.history.Len()}
		if have != *r {
			return fmt.Errorf("trailer: counts %+v, but %+v were read", *r, have)
		}
	default:
		return fmt.Errorf("kind %d is unknown", kind)
	}
	return nil
}

func (im *importer) addSlave(r *SlaveRecord) error {
	n, ok := SlaveNumber(r.Slave.ID)
	if !ok || n > im.s.head.NextSlave {
		return fmt.Errorf("slave %.40q: was never admitted", r.Slave.ID)
	}
	if r.State > SlaveGone {
		return fmt.Errorf("slave %s: state %d is unknown", r.Slave.ID, r.State)
	}
	im.s.slaves.Set(n, r)
	return nil
}
