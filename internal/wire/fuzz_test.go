package wire

import (
	"bytes"
	"encoding/hex"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
)

// seed adds the golden bytes of a family.
func seed(f *testing.F, name string) {
	text, err := os.ReadFile("testdata/" + name + ".golden")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		_, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, err := hex.DecodeString(digits)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

// stable checks that what was decoded survives being encoded and decoded again.
func stable[T any](t *testing.T, b []byte, decode func([]byte) (T, error), encode func([]byte, T) ([]byte, error)) {
	v, err := decode(b)
	if err != nil {
		return
	}
	once, err := encode(nil, v)
	if err != nil {
		t.Fatalf("decoded %+v cannot be encoded: %v", v, err)
	}
	again, err := decode(once)
	if err != nil {
		t.Fatalf("encoded %+v cannot be decoded: %v", v, err)
	}
	if !reflect.DeepEqual(v, again) {
		t.Fatalf("%+v became %+v", v, again)
	}
	twice, err := encode(nil, again)
	if err != nil || !bytes.Equal(once, twice) {
		t.Fatalf("encoding is not canonical: %x and %x, %v", once, twice, err)
	}
}

// FuzzMessage puts each input under every kind of message, so that all of them are reached.
func FuzzMessage(f *testing.F) {
	seed(f, "message")
	kinds := slices.Sorted(maps.Keys(makers(&messages)))
	f.Fuzz(func(t *testing.T, b []byte) {
		stable(t, b, DecodeMessage, AppendMessage)
		if len(b) > 3 && b[0] == 0x92 {
			rest := b[2:]
			if b[1] == msgpcode.Uint8 {
				rest = b[3:]
			}
			for _, k := range kinds {
				head, err := write([]byte{0x92}, func(c *codec) { number(c, &k) })
				if err != nil {
					t.Fatal(err)
				}
				stable(t, append(head, rest...), DecodeMessage, AppendMessage)
			}
		}
	})
}

func FuzzFrame(f *testing.F) {
	b, at := OpenBatch(nil, "c", 1<<40)
	for range 3 {
		b, _ = AppendMessage(b, sample(&message.StatusUpdate{}).(message.Message))
		b, _ = AppendMessage(b, &message.Ping{Connected: true})
	}
	CloseBatch(b, at, 6)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		decode := func(b []byte) ([]message.Envelope, error) { return DecodeBatch(nil, b) }
		stable(t, b, decode, func(dst []byte, envs []message.Envelope) ([]byte, error) {
			var e message.Envelope
			if len(envs) > 0 {
				e = envs[0]
			}
			dst, at := OpenBatch(dst, e.Cluster, e.Reign)
			for _, e := range envs {
				var err error
				if dst, err = AppendMessage(dst, e.Message); err != nil {
					return nil, err
				}
			}
			CloseBatch(dst, at, len(envs))
			return dst, nil
		})
	})
}

func FuzzEntry(f *testing.F) {
	seed(f, "command")
	f.Fuzz(func(t *testing.T, b []byte) { stable(t, b, DecodeEntry, AppendEntry) })
}

func FuzzRecord(f *testing.F) {
	seed(f, "journal")
	f.Fuzz(func(t *testing.T, b []byte) { stable(t, b, DecodeRecord, AppendRecord) })
}

func FuzzSnapshot(f *testing.F) {
	var all []registry.Record
	for k := registry.RecordHeader; k <= registry.RecordTrailer; k++ {
		all = append(all, sample(records[k].make()).(registry.Record))
	}
	var w bytes.Buffer
	if _, err := WriteSnapshot(&w, slices.Values(all)); err != nil {
		f.Fatal(err)
	}
	f.Add(w.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		decode := func(b []byte) (out []registry.Record, err error) {
			for r, e := range ReadSnapshot(bytes.NewReader(b)) {
				if e != nil {
					return nil, e
				}
				out = append(out, r)
			}
			return out, nil
		}
		stable(t, b, decode, func(dst []byte, rs []registry.Record) ([]byte, error) {
			w := bytes.NewBuffer(dst)
			_, err := WriteSnapshot(w, slices.Values(rs))
			return w.Bytes(), err
		})
	})
}

func FuzzEvent(f *testing.F) {
	seed(f, "event")
	f.Fuzz(func(t *testing.T, b []byte) { stable(t, b, DecodeEvent, AppendEvent) })
}
