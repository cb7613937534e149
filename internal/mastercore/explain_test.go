package mastercore

import (
	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
)

// explain prints why a framework is offered nothing. Asking must change nothing.
func (w *world) explain(f []string) {
	plain, named, _ := args(f)
	before, deadline := w.core.Describe(), w.core.Deadline()
	why, bad := w.core.Explain(w.now, offer.FrameworkID(plain[0]), named["role"], offer.SlaveID(named["slave"]))
	require.Equal(w.t, before, w.core.Describe())
	require.Equal(w.t, deadline, w.core.Deadline())
	if bad != nil {
		w.out.WriteString("refused " + bad.Error() + "\n")
		return
	}
	w.out.WriteString(why.String())
}
