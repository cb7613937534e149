package wire

import (
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "append to the golden files what they do not have yet")

// The golden files hold every encoding that was ever written of a sample of each kind, oldest first: a line is the type's name and the
// bytes. Lines are added by -rewrite and never changed or removed, because those bytes are on the disks of clusters and come from older peers.
func TestGolden(t *testing.T) {
	for _, f := range families() {
		path := "testdata/" + f.name + ".golden"
		text, err := os.ReadFile(path)
		if !*rewrite {
			require.NoError(t, err)
		}
		lines := map[string][]string{}
		for line := range strings.Lines(string(text)) {
			name, bytes, ok := strings.Cut(strings.TrimSpace(line), " ")
			require.True(t, ok, line)
			lines[name] = append(lines[name], bytes)
		}
		added := ""
		for _, k := range slices.Sorted(maps.Keys(f.kinds)) {
			want := sample(f.kinds[k]())
			name := reflect.TypeOf(want).Elem().Name()
			b, err := f.encode(want)
			require.NoError(t, err)
			now := hex.EncodeToString(b)
			known := lines[name]
			delete(lines, name)
			if *rewrite && !slices.Contains(known, now) {
				added += fmt.Sprintln(name, now)
				known = append(known, now)
			}
			require.NotEmpty(t, known, "%s has no golden bytes in %s: run with -rewrite", name, path)
			require.Equal(t, known[len(known)-1], now, "%s is written otherwise than the newest line of %s says", name, path)
			for i, line := range known {
				b, err := hex.DecodeString(line)
				require.NoError(t, err)
				got, err := f.decode(b)
				require.NoError(t, err)
				if i == len(known)-1 {
					require.Equal(t, want, got)
				} else {
					older(t, name, reflect.ValueOf(want).Elem(), reflect.ValueOf(got).Elem())
				}
			}
		}
		require.Empty(t, lines, "golden bytes of a kind that can no longer be read, in %s", path)
		if added != "" {
			require.NoError(t, os.WriteFile(path, append(text, added...), 0o644))
		}
	}
}

// older checks that got has the fields of want, or zero where its writer did not know one.
func older(t *testing.T, path string, want, got reflect.Value) {
	switch {
	case got.IsZero():
	case want.Kind() == reflect.Struct && want.Type() != timeType:
		for i := range want.NumField() {
			older(t, path+"."+want.Type().Field(i).Name, want.Field(i), got.Field(i))
		}
	case want.Kind() == reflect.Pointer, want.Kind() == reflect.Interface:
		older(t, path, want.Elem(), got.Elem())
	case want.Kind() == reflect.Slice:
		require.Equal(t, want.Len(), got.Len(), path)
		for i := range want.Len() {
			older(t, path, want.Index(i), got.Index(i))
		}
	default:
		require.Equal(t, want.Interface(), got.Interface(), path)
	}
}
