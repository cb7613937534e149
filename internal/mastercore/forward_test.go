package mastercore

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// How a status is written goes with it to the framework only if the framework is told the status just so.
func TestAStatusIsSentOnAsItCameOnlyIfNothingOfItIsChanged(t *testing.T) {
	f := newFleet(t, 1)
	f.subscribe()
	f.step(Received{Conn: 10, Message: f.home(0, 1)})
	told := func(st offer.Status) *message.Update {
		st.TaskID = "task-000000"
		for _, e := range f.step(Received{Conn: 10, Message: &message.StatusUpdate{Framework: "f-1", Status: &st, Latest: st.State, Encoded: "as it came"}}) {
			if s, ok := e.(Send); ok {
				if m, ok := s.Message.(*message.Update); ok {
					return m
				}
			}
		}
		t.Fatal("the framework was not told")
		return nil
	}
	as := told(offer.Status{SlaveID: "s-1", State: offer.Running, UUID: offer.UUID{2}})
	require.Equal(t, "as it came", as.Encoded)
	require.Equal(t, offer.SlaveID("s-1"), as.Status.SlaveID)

	as = told(offer.Status{State: offer.Running, UUID: offer.UUID{3}})
	require.Empty(t, as.Encoded, "the master has named the slave")
	require.Equal(t, offer.SlaveID("s-1"), as.Status.SlaveID)

	f.core.frameworks.mut(1).info.Capabilities = 0
	as = told(offer.Status{SlaveID: "s-1", State: offer.Gone, UUID: offer.UUID{4}})
	require.Empty(t, as.Encoded, "the framework is told of another state")
	require.Equal(t, offer.Lost, as.Status.State)
}
