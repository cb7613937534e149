package offer

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAttributesReadWhatTheyWrite(t *testing.T) {
	list, err := ParseAttributes("rack:r1; level:10.5;url:http://x:80;ports:[1-2,5-6];")
	require.NoError(t, err)
	var back []string
	for _, a := range list {
		back = append(back, a.String())
	}
	require.Equal(t, "rack:r1;level:10.5;url:http://x:80;ports:[1-2,5-6]", strings.Join(back, ";"))
	for _, bad := range []string{"rack", "rack:", ":r1", "a/b:c", "ports:[2-1]"} {
		_, err := ParseAttributes(bad)
		require.Error(t, err, bad)
	}
	require.ErrorContains(t, ValidateAttributes([]Attribute{{Name: "x"}}), "exactly one")
	require.ErrorContains(t, ValidateAttributes(make([]Attribute, MaxAttributes+1)), "at most 256")
}

func FuzzParseAttributes(f *testing.F) {
	f.Add("rack:r1;level:10;ports:[1-2]")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseAttributes(text)
		if err != nil {
			return
		}
		for _, a := range list {
			again, err := ParseAttributes(a.String())
			require.NoError(t, err, a.String())
			require.Equal(t, []Attribute{a}, again)
		}
	})
}
