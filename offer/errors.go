package offer

// A Refusal is an error with a Reason: what a node answers to a request it will not carry out. It crosses the wire, so that
// errors.As finds it, and errors.Is compares it by Reason, on the other side too.
type Refusal struct {
	Reason  Reason
	Message string
}

// Refuse makes a Refusal.
func Refuse(r Reason, message string) *Refusal { return &Refusal{Reason: r, Message: message} }

// Error returns the message followed by the reason's name.
func (e *Refusal) Error() string {
	if e.Message == "" {
		return e.Reason.String()
	}
	return e.Message + " (" + e.Reason.String() + ")"
}

// Is makes errors.Is(err, &Refusal{Reason: r}) true for every refusal with that reason.
func (e *Refusal) Is(target error) bool {
	t, ok := target.(*Refusal)
	return ok && t.Reason == e.Reason && (t.Message == "" || t.Message == e.Message)
}
