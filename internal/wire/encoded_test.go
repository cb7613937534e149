package wire

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
)

// batchOf encodes messages as one batch and reads them back.
func batchOf(t *testing.T, messages ...message.Message) []message.Envelope {
	t.Helper()
	b, at := OpenBatch(nil, "c", 1)
	for _, m := range messages {
		var err error
		b, err = AppendMessage(b, m)
		require.NoError(t, err)
	}
	CloseBatch(b, at, len(messages))
	envs, err := DecodeBatch(nil, b)
	require.NoError(t, err)
	return envs
}

func encoded(t *testing.T, m message.Message) string {
	t.Helper()
	b, err := AppendMessage(nil, m)
	require.NoError(t, err)
	return string(b)
}

func TestAStatusThatIsSentOnHasTheBytesThatItCameWith(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var sent []message.Message
	for range 500 {
		sent = append(sent, random(&message.StatusUpdate{Status: &offer.Status{}}, r).(message.Message))
		if m := sent[len(sent)-1].(*message.StatusUpdate); m.Status == nil {
			m.Status = &offer.Status{}
		}
	}
	kept := 0
	for i, e := range batchOf(t, sent...) {
		got := e.Message.(*message.StatusUpdate)
		on := encoded(t, &message.Update{Status: got.Status})
		require.Equal(t, on, encoded(t, &message.Update{Status: got.Status, Encoded: got.Encoded}), "update %d", i)
		if got.Encoded != "" {
			kept++
			require.Contains(t, on, got.Encoded)
		}
		got.Encoded = ""
		require.Equal(t, sent[i], e.Message)
	}
	require.Greater(t, kept, len(sent)/4, "most small ones are kept")
}

func TestAJournalTellsHowItHasWrittenAStatus(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		st := random(&offer.Status{}, r).(*offer.Status)
		plain, err := AppendRecord(nil, &slavecore.Updated{Framework: "f", Status: st})
		require.NoError(t, err)
		var told string
		b, err := AppendRecord(nil, &slavecore.Updated{Framework: "f", Status: st, Encoded: &told})
		require.NoError(t, err)
		require.Equal(t, plain, b)
		require.NotEmpty(t, told)
		require.Equal(t, encoded(t, &message.StatusUpdate{Framework: "f", Status: st, Latest: offer.Running}),
			encoded(t, &message.StatusUpdate{Framework: "f", Status: st, Latest: offer.Running, Encoded: told}))
	}
}

// What another version has written, or nobody but a stranger, is written anew: a framework is told what its master has understood.
func TestAStatusOfAnotherVersionIsWrittenAnew(t *testing.T) {
	st := &offer.Status{TaskID: "task-1", SlaveID: "s-1", State: offer.Running}
	as := func(fields int, more func(c *codec)) message.Message {
		b, at := OpenBatch(nil, "c", 1)
		b, err := write(b, func(c *codec) { // as fields would
			c.open(2)
			k := uint8(message.KindStatusUpdate)
			number(c, &k)
			c.open(3)
			framework, latest := offer.FrameworkID("f"), offer.Running
			text(c, &framework)
			c.open(fields)
			text(c, &st.TaskID)
			text(c, &st.SlaveID)
			text(c, &st.ExecutorID)
			number(c, &st.State)
			more(c)
			number(c, &latest)
		})
		require.NoError(t, err)
		CloseBatch(b, at, 1)
		envs, err := DecodeBatch(nil, b)
		require.NoError(t, err)
		return envs[0].Message
	}
	rest := func(c *codec, n int) {
		for range n {
			c.did(c.w.EncodeNil())
		}
	}
	same := as(14, func(c *codec) {
		number(c, &st.Source)
		number(c, &st.Reason)
		text(c, &st.Message)
		rest(c, 7)
	}).(*message.StatusUpdate)
	require.Equal(t, st, same.Status)
	require.Equal(t, encoded(t, &message.Update{Status: st}), encoded(t, &message.Update{Status: same.Status, Encoded: same.Encoded}))
	require.NotEmpty(t, same.Encoded, "of this version")

	older := as(4, func(*codec) {}).(*message.StatusUpdate)
	require.Equal(t, st, older.Status)
	require.Empty(t, older.Encoded)
	newer := as(18, func(c *codec) {
		number(c, &st.Source)
		number(c, &st.Reason)
		text(c, &st.Message)
		rest(c, 11)
	}).(*message.StatusUpdate)
	require.Equal(t, st, newer.Status)
	require.Empty(t, newer.Encoded)
}
