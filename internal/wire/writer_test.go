package wire

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// What a Writer remembers of the last values shortens its work and changes no byte of it.
func TestAWriterWritesWhatTheAppendFunctionsDo(t *testing.T) {
	one, other := resource.Must("cpus:1;mem:32"), resource.Must("cpus:2;mem:32;ports:[1-9]")
	fw, next := &offer.Framework{ID: "f-1", Name: "a"}, &offer.Framework{ID: "f-1", Name: "b"}
	var records []slavecore.Record
	for i, with := range []struct {
		r resource.Resources
		f *offer.Framework
	}{{one, fw}, {one, fw}, {one[:1], fw}, {other, fw}, {nil, next}, {other, next}, {one, fw}, {one, fw}} {
		task := &offer.Task{ID: offer.TaskID("task-" + string(rune('a'+i))), Resources: with.r}
		records = append(records, &slavecore.Launched{Framework: with.f, Role: "*", Task: task, Container: "c"}, &slavecore.Reign{Reign: uint64(i)})
	}
	w := NewWriter()
	for _, r := range records {
		want, err := AppendRecord(nil, r)
		require.NoError(t, err)
		got, err := w.Record([]byte("x"), r)
		require.NoError(t, err)
		require.Equal(t, "x"+string(want), string(got), "%+v", r)
	}
	for range 2 {
		m := &message.Launch{Framework: *fw, Tasks: []offer.Task{{ID: "t-1", Resources: one}, {ID: "t-2", Resources: one}, {ID: "t-3", Resources: other}}}
		want, err := AppendMessage(nil, m)
		require.NoError(t, err)
		got, err := w.Message(nil, m)
		require.NoError(t, err)
		require.Equal(t, want, got)
		decoded, err := DecodeMessage(got)
		require.NoError(t, err)
		require.Equal(t, m, decoded)
	}
	_, err := w.Message([]byte("x"), stranger{})
	require.Error(t, err)
	got, err := w.Message(nil, &message.Pong{})
	require.NoError(t, err, "an error is of one value")
	require.Equal(t, encoded(t, &message.Pong{}), string(got))
	w.Close()

	// The next use of the codec knows nothing of the places of the last one: what is there now may be another value.
	one[0].Scalar = 5000
	b, err := AppendRecord(nil, records[0])
	require.NoError(t, err)
	r, err := DecodeRecord(b)
	require.NoError(t, err)
	require.Equal(t, resource.Scalar(5000), r.(*slavecore.Launched).Task.Resources[0].Scalar)
}
