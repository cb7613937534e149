package wire

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// declared returns the types of the package in dir that have the method.
func declared(t *testing.T, dir, method string) []string {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	var out []string
	for _, path := range files {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || fn.Name.Name != method {
				continue
			}
			switch of := fn.Recv.List[0].Type.(type) {
			case *ast.StarExpr:
				if fn.Type.Results != nil {
					out = append(out, of.X.(*ast.Ident).Name)
				}
			case *ast.Ident: // the method that seals events
				if fn.Type.Results == nil {
					out = append(out, of.Name)
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestEveryKindHasACodec(t *testing.T) {
	methods := map[string][2]string{"message": {"../message", "Kind"}, "command": {"../registry", "OpKind"},
		"snapshot": {"../registry", "RecordKind"}, "journal": {"../slavecore", "RecordKind"},
		"event": {"../mastercore", "event"}}
	for _, f := range families() {
		var have []string
		for k, make := range f.kinds {
			v := make()
			have = append(have, reflect.TypeOf(v).Elem().Name())
			m := methods[f.name][1]
			if f.name == "event" { // its numbers are this package's own
				continue
			}
			number := reflect.ValueOf(v).MethodByName(m).Call(nil)[0].Uint()
			require.EqualValues(t, k, number, "%T stands under another number than its %s", v, m)
		}
		slices.Sort(have)
		want := declared(t, methods[f.name][0], methods[f.name][1])
		require.NotEmpty(t, want)
		require.Equal(t, want, have, f.name)
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, f := range families() {
		for _, make := range f.kinds {
			values := []any{make(), sample(make())}
			for range 60 {
				values = append(values, random(make(), r))
			}
			for _, v := range values {
				b, err := f.encode(v)
				require.NoError(t, err)
				got, err := f.decode(b)
				require.NoError(t, err, "%+v", v)
				require.Equal(t, v, got)
				var plain any
				require.NoError(t, msgpack.Unmarshal(b, &plain), "the library reads it too")
			}
		}
	}
}

// Some structs leave out what most have not. Each field on its own keeps them from it.
func TestAFieldThatStandsAloneIsReadBack(t *testing.T) {
	standAlone(t, (*codec).task, func(v *offer.Task) { v.ID = "task-1" })
	standAlone(t, (*codec).task, func(v *offer.Task) { v.ID = "t" })
	standAlone(t, (*codec).command, func(v *offer.Command) { v.Value = "sleep" })
	standAlone(t, (*codec).command, func(v *offer.Command) {})
	standAlone(t, (*codec).status, func(v *offer.Status) { v.TaskID = "t" })
	standAlone(t, (*codec).resource, func(v *resource.Resource) { v.Name = "cpus" })
}

// standAlone writes and reads what begin begins with one other leaf at a time.
func standAlone[T any](t *testing.T, code func(*codec, *T), begin func(*T)) {
	var paths []string
	whole := new(T)
	walk(reflect.ValueOf(whole).Elem(), "", func(string) int { return 1 }, func(_ reflect.Value, path string) { paths = append(paths, path) })
	require.NotEmpty(t, paths)
	for _, only := range paths {
		v, got := new(T), new(T)
		begin(v)
		walk(reflect.ValueOf(v).Elem(), "", func(path string) int {
			if strings.HasPrefix(only, path) {
				return 1
			}
			return 0
		}, func(leaf reflect.Value, path string) {
			if path == only {
				setLeaf(leaf, 1<<40|4)
			}
		})
		b, err := write(nil, func(c *codec) { code(c, v) })
		require.NoError(t, err)
		require.NoError(t, read(b, Limits{}, func(c *codec) { code(c, got) }), only)
		require.Equal(t, v, got, only)
	}
}

// Values that are almost nothing are many for their bytes, and can be read all the same.
func TestManySmallTasksAreReadBack(t *testing.T) {
	for _, id := range []offer.TaskID{"", "t", "tas", "task", "task-1"} {
		for _, cmd := range []*offer.Command{nil, {}, {Value: "ls"}, {Value: "run"}} {
			m := &message.Launch{Tasks: make([]offer.Task, 5000)}
			for i := range m.Tasks {
				m.Tasks[i].ID = id
				if cmd != nil {
					own := *cmd
					m.Tasks[i].Command = &own
				}
			}
			b, err := AppendMessage(nil, m)
			require.NoError(t, err)
			got, err := DecodeMessage(b)
			require.NoError(t, err, "tasks %q with %v", id, cmd)
			require.Equal(t, message.Message(m), got)
		}
	}
}

// A reader of another version knows more fields, or fewer.
func TestFieldsMayBeMissingOrNew(t *testing.T) {
	ack := &message.StatusAck{Framework: "f", Task: "t"}
	b, err := msgpack.Marshal([]any{int(ack.Kind()), []any{"f", "t", nil, map[string]any{"new": []int{1, 2}}, "newer"}, "beside"})
	require.NoError(t, err)
	m, err := DecodeMessage(b)
	require.NoError(t, err)
	require.Equal(t, ack, m)
	b, err = msgpack.Marshal([]any{int(ack.Kind()), []any{"f"}})
	require.NoError(t, err)
	m, err = DecodeMessage(b)
	require.NoError(t, err)
	require.Equal(t, &message.StatusAck{Framework: "f"}, m)
	b, err = msgpack.Marshal([]any{int(message.KindLaunch), []any{[]any{"f"}, "role", []any{[]any{"t1"}, []any{"t2", "name"}, nil}}})
	require.NoError(t, err)
	m, err = DecodeMessage(b)
	require.NoError(t, err)
	require.Equal(t, &message.Launch{Framework: offer.Framework{ID: "f"}, Role: "role",
		Tasks: []offer.Task{{ID: "t1"}, {ID: "t2", Name: "name"}, {}}}, m)
}

// Scan and the library agree on how long everything is that msgpack has, and a decoder is as good as new after any of it.
func TestUnknownFieldsOfAnyShapeAreSkipped(t *testing.T) {
	want := &message.Operated{Seq: math.MaxUint64, Reason: 7, Message: "m"}
	known, err := AppendMessage(nil, want)
	require.NoError(t, err)
	of := func(n int, head ...byte) []byte { return append(head, make([]byte, n)...) }
	for _, strange := range [][]byte{
		{0}, {0xff}, {0xc0}, {0xc2}, {0xc3}, of(4, 0xca), of(8, 0xcb), of(1, 0xcc), of(2, 0xcd), of(4, 0xce), of(8, 0xcf), of(1, 0xd0), of(2, 0xd1),
		of(4, 0xd2), of(8, 0xd3), of(2, 0xd4), of(3, 0xd5), of(5, 0xd6), of(9, 0xd7), of(17, 0xd8), of(4, 0xc7, 3), of(301, 0xc8, 1, 44),
		of(70_001, 0xc9, 0, 1, 17, 112), of(3, 0xa3), of(200, 0xd9, 200), of(300, 0xda, 1, 44), of(70_000, 0xdb, 0, 1, 17, 112), of(0, 0xc4, 0),
		of(200, 0xc4, 200), of(300, 0xc5, 1, 44), of(70_000, 0xc6, 0, 1, 17, 112), of(2, 0x92), of(20, 0xdc, 0, 20), of(20, 0xdd, 0, 0, 0, 20),
		of(4, 0x82), of(40, 0xde, 0, 20), of(40, 0xdf, 0, 0, 0, 20), {0x90}, {0x80}, {0x91, 0x81, 0xa1, 'k', 0x92, 0xc4, 1, 9, 0xd4, 1, 2},
	} {
		b := append(slices.Clone(known), strange...)
		at := bytes.IndexByte(b, 0x93)
		require.Positive(t, at)
		b[at] = 0x94
		got, err := DecodeMessage(b)
		require.NoError(t, err, "%x", strange[:1])
		require.Equal(t, want, got)
		_, err = DecodeMessage([]byte{0x92, byte(message.KindPing), 0x91, 0xa0})
		reason(t, offer.ReasonMalformed, err)
	}
}

func reason(t *testing.T, want offer.Reason, err error, note ...any) {
	t.Helper()
	var r *offer.Refusal
	require.True(t, errors.As(err, &r), "%v %v", err, note)
	require.Equal(t, want, r.Reason, "%v %v", r, note)
}

func TestWhatIsNotKnownIsUnsupported(t *testing.T) {
	for _, v := range []any{[]any{255, []any{}}, []any{0}, []any{}, nil} {
		b, err := msgpack.Marshal(v)
		require.NoError(t, err)
		for _, f := range families() {
			if f.name != "command" {
				_, err = f.decode(b)
				reason(t, offer.ReasonUnsupported, err, f.name, v)
			}
		}
	}
	for _, v := range []any{[]any{2, 1, []any{}}, []any{1, 1, []any{[]any{nil, []any{200, []any{}}}}}, []any{1, 1, []any{nil}}, []any{1, 1, []any{[]any{nil, nil}}}} {
		b, err := msgpack.Marshal(v)
		require.NoError(t, err)
		_, err = DecodeEntry(b)
		reason(t, offer.ReasonUnsupported, err)
	}
	_, err := AppendMessage(nil, nil)
	require.Error(t, err)
	_, err = AppendMessage(nil, (*message.Ping)(nil))
	require.Error(t, err)
	_, err = AppendMessage(nil, stranger{})
	require.ErrorContains(t, err, "has no encoding")
}

type stranger struct{}

func (stranger) Kind() message.Kind { return 250 }

func TestMalformedBytesAreRefused(t *testing.T) {
	good, err := AppendMessage(nil, sample(&message.Offers{}).(message.Message))
	require.NoError(t, err)
	for n := range good {
		_, err := DecodeMessage(good[:n])
		reason(t, offer.ReasonMalformed, err, n)
	}
	_, err = DecodeMessage(append(slices.Clone(good), 0xc0))
	reason(t, offer.ReasonMalformed, err)
	for _, fields := range []any{
		[]any{"f", "t", "not a uuid"}, []any{"f", "t", []byte{1, 2}}, []any{"f", "t", "sixteen letters."}, []any{[]byte("f")}, []any{nil, 1}, []any{1}, []any{true}, []any{"f", []any{}}, "fields", 3.5, map[string]int{},
	} {
		b, err := msgpack.Marshal([]any{int(message.KindStatusAck), fields})
		require.NoError(t, err)
		_, err = DecodeMessage(b)
		reason(t, offer.ReasonMalformed, err, fields)
	}
	for _, fields := range []any{[]any{-1}, []any{"s"}, []any{1.5}, []any{uint64(math.MaxUint64), 70000}, []any{1, -3}} {
		b, err := msgpack.Marshal([]any{int(message.KindOperated), fields})
		require.NoError(t, err)
		_, err = DecodeMessage(b)
		reason(t, offer.ReasonMalformed, err, fields)
	}
	b, err := msgpack.Marshal([]any{int(message.KindSubscribed), []any{"f", uint64(math.MaxUint64)}})
	require.NoError(t, err)
	_, err = DecodeMessage(b)
	reason(t, offer.ReasonMalformed, err)
}

func TestScanStopsBombs(t *testing.T) {
	nest := func(n int) []byte { return append(bytes.Repeat([]byte{0x91}, n), 0xc0) }
	require.NoError(t, Scan(nest(32), Limits{}))
	require.NoError(t, Scan([]byte{0x82, 0xa1, 'a', 0x01, 0xa1, 'b', 0x93, 1, 2, 3}, Limits{}))
	for name, c := range map[string]struct {
		b    []byte
		l    Limits
		want offer.Reason
	}{
		"nothing":                {nil, Limits{}, offer.ReasonMalformed},
		"deep":                   {nest(33), Limits{}, offer.ReasonTooLarge},
		"deeper than asked":      {nest(5), Limits{Depth: 4}, offer.ReasonTooLarge},
		"a million deep":         {nest(1 << 20), Limits{}, offer.ReasonTooLarge},
		"array of 4 G":           {[]byte{0xdd, 0xff, 0xff, 0xff, 0xff}, Limits{}, offer.ReasonMalformed},
		"map of 4 G":             {[]byte{0xdf, 0xff, 0xff, 0xff, 0xff, 0}, Limits{}, offer.ReasonMalformed},
		"string of 4 G":          {[]byte{0xdb, 0xff, 0xff, 0xff, 0xff, 'a'}, Limits{}, offer.ReasonMalformed},
		"bytes of 4 G":           {[]byte{0xc6, 0xff, 0xff, 0xff, 0xff, 'a'}, Limits{}, offer.ReasonMalformed},
		"extension of 4 G":       {[]byte{0xc9, 0xff, 0xff, 0xff, 0xff, 'a'}, Limits{}, offer.ReasonMalformed},
		"code that is not there": {[]byte{0xc1}, Limits{}, offer.ReasonMalformed},
		"too many elements":      {append([]byte{0xdc, 1, 0}, make([]byte, 256)...), Limits{Elements: 100}, offer.ReasonTooLarge},
		"something after it":     {[]byte{0xc0, 0xc0}, Limits{}, offer.ReasonMalformed},
		"cut length":             {[]byte{0xda, 0x01}, Limits{}, offer.ReasonMalformed},
		"cut number":             {[]byte{0xcf, 0x01, 2, 3}, Limits{}, offer.ReasonMalformed},
		"half a map":             {[]byte{0x81, 0x01}, Limits{}, offer.ReasonMalformed},
	} {
		reason(t, c.want, Scan(c.b, c.l), name)
	}
}

// Whatever Scan lets through, decoding it takes memory in proportion to the input.
func TestDecodingIsBoundedInMemory(t *testing.T) {
	bomb := []byte{0x92, msgpcode.Uint8, byte(message.KindExecutorLaunch), 0x91, 0xdd, 0, 0x0f, 0, 0}
	bomb = append(bomb, bytes.Repeat([]byte{0x90}, 0x0f0000)...) // a million tasks of one byte each
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := DecodeMessage(bomb)
	runtime.ReadMemStats(&after)
	reason(t, offer.ReasonTooLarge, err)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(amplification*len(bomb)+1<<20))
	// Nothing that we write ourselves runs into this bound, however empty.
	for _, v := range []message.Message{
		&message.ExecutorLaunch{Tasks: make([]offer.Task, 2000)},
		&message.SlaveReregister{Tasks: make([]message.SlaveTask, 2000), Executors: make([]message.SlaveExecutor, 2000)},
		&message.Reconcile{Tasks: make([]message.TaskRef, 2000)},
		&message.Accept{Operations: make([]offer.Operation, 2000), Offers: make([]offer.OfferID, 2000)},
		&message.Offers{Offers: make([]offer.Offer, 2000)},
		sized(&message.Request{}, 2000),
		sized(&message.SlaveRegister{}, 300),
		sized(&message.Subscribe{}, 100),
	} {
		b, err := AppendMessage(nil, v)
		require.NoError(t, err)
		got, err := DecodeMessage(b)
		require.NoError(t, err, "%T", v)
		require.Equal(t, v, got)
	}
}

// sized makes the outermost lists of a message n zero elements long.
func sized(m message.Message, n int) message.Message {
	walk(reflect.ValueOf(m).Elem(), "", func(path string) int {
		if strings.Contains(path, "[") {
			return 0
		}
		return n
	}, func(reflect.Value, string) {})
	return m
}

func TestTimes(t *testing.T) {
	for in, want := range map[time.Time]time.Time{
		{}:                                 {},
		time.Unix(0, 0):                    time.Unix(0, 0).UTC(),
		time.Unix(-1, 5):                   time.Unix(-1, 5).UTC(),
		time.Unix(0, math.MaxInt64):        maxTime.UTC(),
		time.Unix(math.MaxInt32*100, 0):    maxTime.UTC(),
		time.Unix(math.MinInt32*100, 1000): minTime.UTC(),
	} {
		b, err := AppendMessage(nil, &message.Update{Status: &offer.Status{Time: in}})
		require.NoError(t, err)
		m, err := DecodeMessage(b)
		require.NoError(t, err)
		require.Equal(t, want, m.(*message.Update).Status.Time)
	}
}

func TestBatch(t *testing.T) {
	want := []message.Envelope{
		{Cluster: "c", Reign: 3, Message: &message.Ping{Connected: true}},
		{Cluster: "c", Reign: 3, Message: sample(&message.StatusUpdate{}).(message.Message)},
		{Cluster: "c", Reign: 3, Message: &message.Heartbeat{}},
	}
	b, at := OpenBatch([]byte("before"), "c", 3)
	var err error
	for _, e := range want {
		b, err = AppendMessage(b, e.Message)
		require.NoError(t, err)
	}
	CloseBatch(b, at, len(want))
	first := message.Envelope{Cluster: "other"}
	got, err := DecodeBatch([]message.Envelope{first}, b[len("before"):])
	require.NoError(t, err)
	require.Equal(t, append([]message.Envelope{first}, want...), got)
	got, err = DecodeBatch([]message.Envelope{first}, b[len("before"):len(b)-1])
	reason(t, offer.ReasonMalformed, err)
	require.Len(t, got, 1)
}

func TestDecodedValuesDoNotShareTheInput(t *testing.T) {
	want := sample(&message.StatusUpdate{})
	b, err := AppendMessage(nil, want.(message.Message))
	require.NoError(t, err)
	got, err := DecodeMessage(b)
	require.NoError(t, err)
	clear(b)
	require.Equal(t, want, got)
}

func TestSnapshotStreams(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var want []registry.Record
	for range 300 {
		for k := registry.RecordHeader; k <= registry.RecordTrailer; k++ {
			want = append(want, random(records[k].make(), r).(registry.Record))
		}
	}
	var b bytes.Buffer
	n, err := WriteSnapshot(&b, slices.Values(want))
	require.NoError(t, err)
	require.EqualValues(t, b.Len(), n)
	read := func(b []byte) (got []registry.Record, err error) {
		for r, e := range ReadSnapshot(bytes.NewReader(b)) {
			if e != nil {
				require.NoError(t, err)
				err = e
				continue
			}
			got = append(got, r)
		}
		return got, err
	}
	got, err := read(b.Bytes())
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = read(b.Bytes()[:b.Len()-1])
	reason(t, offer.ReasonMalformed, err)
	_, err = read([]byte("MERO"))
	reason(t, offer.ReasonMalformed, err)
	_, err = read([]byte("something else"))
	reason(t, offer.ReasonMalformed, err)
	_, err = read([]byte("MEROSsn2"))
	reason(t, offer.ReasonUnsupported, err)
	_, err = read([]byte("MEROSsn1\xff\xff\xff\xff"))
	reason(t, offer.ReasonTooLarge, err)
}

// The state of a registry survives the way through a snapshot.
func TestRegistrySurvivesASnapshot(t *testing.T) {
	s := registry.New()
	key := byte(0)
	apply := func(op registry.Op) registry.Result {
		key++
		b, err := AppendEntry(nil, registry.Entry{Reign: s.View().Reign(), Commands: []registry.Command{{Key: registry.Key{key}, Op: op}}})
		require.NoError(t, err)
		e, err := DecodeEntry(b)
		require.NoError(t, err)
		return s.Apply(e)[0]
	}
	require.Nil(t, apply(&registry.Open{Cluster: "c", Master: "m1"}).Err)
	for i := range 20 {
		require.Nil(t, apply(&registry.AdmitSlave{Slave: offer.Slave{Hostname: fmt.Sprint("h", i)}}).Err)
	}
	var b bytes.Buffer
	_, err := WriteSnapshot(&b, s.View().Export())
	require.NoError(t, err)
	again, err := registry.Import(ReadSnapshot(&b))
	require.NoError(t, err)
	require.Equal(t, slices.Collect(s.View().Export()), slices.Collect(again.View().Export()))
}

func TestCodesAreThoseOfTheLibrary(t *testing.T) {
	for _, c := range [][2]byte{
		{codePosFixedNumHigh, msgpcode.PosFixedNumHigh}, {codeFixedMapHigh, msgpcode.FixedMapHigh}, {codeFixedMapMask, msgpcode.FixedMapMask},
		{codeFixedArrayHigh, msgpcode.FixedArrayHigh}, {codeFixedArrayMask, msgpcode.FixedArrayMask},
		{codeFixedStrLow, msgpcode.FixedStrLow}, {codeFixedStrHigh, msgpcode.FixedStrHigh}, {codeFixedStrMask, msgpcode.FixedStrMask},
		{codeNil, msgpcode.Nil}, {codeFixedArrayLow, msgpcode.FixedArrayLow}, {codeNegFixedNumLow, msgpcode.NegFixedNumLow},
	} {
		require.Equal(t, c[1], c[0])
	}
}
