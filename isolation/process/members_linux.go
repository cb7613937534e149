package process

// Parent returns the ID of the process that another one is a child of, or ErrGone.
func Parent(pid int) (ID, error) {
	e, err := readStat(pid)
	if err != nil {
		return ID{}, err
	}
	return Identify(e.parent)
}
