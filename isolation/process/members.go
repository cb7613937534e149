package process

// A Table is all processes that ran at one moment.
type Table struct{ all table }

// Processes looks at all processes of the machine.
func Processes() Table { return Table{all: snapshot()} }

// Has reports whether the process ran.
func (t Table) Has(id ID) bool { return id.PID > 0 && t.all[id.PID].id == id }

// Descendants are all processes that descend from another one, which must not be the machine's first; none if that did not run.
func (t Table) Descendants(of ID) []ID {
	if !t.Has(of) {
		return nil
	}
	return t.all.descendants(of.PID)
}
