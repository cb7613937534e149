//go:build !linux

package process

// Parent returns the ID of the process that another one is a child of, or ErrGone.
func Parent(pid int) (ID, error) {
	e, ok := snapshot()[pid]
	if !ok {
		return ID{}, ErrGone
	}
	return Identify(e.parent)
}
