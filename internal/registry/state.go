package registry

import (
	"github.com/tidwall/btree"

	"github.com/meros-project/meros/offer"
)

// State is the replicated state. It belongs to the one goroutine that applies the log; others read a View.
type State struct {
	head       Header
	slaves     btree.Map[uint64, *SlaveRecord]
	gone       btree.Map[uint64, struct{}]
	frameworks btree.Map[uint64, *FrameworkRecord]
	roles      btree.Map[string, *RoleRecord]
	history    btree.Map[uint64, *KeyRecord] // the last MaxKeys commands by number
	keys       map[Key]uint64                // looked up, never ranged over

	view *View // of the state as it is; nil after a change
}

// New returns the state before the first entry.
func New() *State { return &State{keys: map[Key]uint64{}} }

// Apply changes the state by one entry and returns one result for each of its commands. It never fails as a whole: a command that is
// not allowed is refused in its Result and changes nothing but the memory of its key.
func (s *State) Apply(e Entry) []Result {
	s.view = nil
	results := make([]Result, len(e.Commands))
	all := func(r *offer.Refusal) []Result {
		for i := range results {
			results[i].Err = r
		}
		return results
	}
	if len(e.Commands) > MaxCommands {
		return all(refuse(offer.ReasonTooLarge, "entry: %d commands are more than the allowed %d", len(e.Commands), MaxCommands))
	}
	for i := range e.Commands {
		c := &e.Commands[i]
		_, opens := c.Op.(*Open)
		switch {
		case opens && i > 0:
			results[i].Err = refuse(offer.ReasonInvalidField, "open: must be the first command of its entry")
		case opens && i == 0:
			results[0] = s.once(c)
			e.Reign = results[0].Reign
		case e.Reign != s.head.Reign || s.head.Reign == 0:
			results[i].Err = refuse(offer.ReasonOldReign, "entry of reign %d in reign %d", e.Reign, s.head.Reign)
		default:
			results[i] = s.once(c)
		}
	}
	return results
}

// once applies a command unless its key has been seen.
func (s *State) once(c *Command) Result {
	if c.Key == (Key{}) {
		return Result{Err: refuse(offer.ReasonInvalidField, "key: must not be zero")}
	}
	if seq, ok := s.keys[c.Key]; ok {
		if r, ok := s.history.Get(seq); ok {
			return r.Result
		}
	}
	if _, ok := c.Op.(*Confirm); ok {
		return Result{}
	}
	r := s.apply(c.Op)
	s.head.Commands++
	s.remember(&KeyRecord{Seq: s.head.Commands, Key: c.Key, Result: r})
	return r
}

func (s *State) remember(r *KeyRecord) {
	s.history.Set(r.Seq, r)
	s.keys[r.Key] = r.Seq
	for s.history.Len() > MaxKeys {
		_, old, _ := s.history.PopMin()
		delete(s.keys, old.Key)
	}
}

// View returns a snapshot of the state as it is, at no cost. Any goroutine may read it, for as long as it likes.
func (s *State) View() *View {
	if s.view == nil {
		s.view = &View{
			head: s.head, slaves: s.slaves.Copy(), gone: s.gone.Copy(), frameworks: s.frameworks.Copy(), roles: s.roles.Copy(),
			history: s.history.Copy(),
		}
	}
	return s.view
}

// Skip passes over the next reigns, slave ids and framework ids, that many of each. A registry that was saved and is taken up again may have gone on after
// that for a while: what it has handed out meanwhile must not be handed out once more, to somebody else.
func (s *State) Skip(reigns, slaves, frameworks uint32) {
	s.view = nil
	s.head.Reign += uint64(reigns)
	s.head.NextSlave += uint64(slaves)
	s.head.NextFramework += uint64(frameworks)
}
