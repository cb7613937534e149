package frameworkcore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

func TestAConfigurationErrorNamesTheFieldAndWhatIsAllowed(t *testing.T) {
	for want, cfg := range map[string]Config{
		"framework: config: Heartbeat is -1s (allowed: more than zero)": {Heartbeat: -time.Second},
		"framework: config: Window is -1 (allowed: more than zero)":     {Window: -1},
		`framework: config: Framework.ID "..": names a directory (allowed: 1 to 255 bytes without '/', '\' or control characters, not '.' or '..')`: {
			Framework: offer.Framework{ID: ".."}},
	} {
		_, err := New(time.Time{}, cfg)
		require.EqualError(t, err, want)
	}
}

func TestAnAcceptDoesNotChangeTheCallersTasks(t *testing.T) {
	w := newWorld(t)
	w.conn = 1
	w.step(Connected{Conn: 1})
	w.master(&message.Subscribed{ID: "f-1"})
	w.master(&message.Offers{Offers: []offer.Offer{{ID: "o1", SlaveID: "s1"}}})
	slave, ok := w.core.Offer("o1")
	require.True(t, ok)
	require.Equal(t, offer.SlaveID("s1"), slave)
	tasks := tasksOf([]string{"t1"})
	w.call(&message.Accept{Offers: []offer.OfferID{"o1"}, Operations: []offer.Operation{offer.Launch(tasks...)}})
	require.Contains(t, w.out.String(), "LAUNCH t1@s1")
	require.Empty(t, tasks[0].SlaveID)
	_, ok = w.core.Offer("o1")
	require.False(t, ok)
}
