package offer

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHostnamesAreOfLabels(t *testing.T) {
	for _, name := range []string{"", "a", "web-1", "3com", "db.example.org", "UPPER.lower", strings.Repeat("a", 63), strings.Repeat("a", 31) + "." + strings.Repeat("b", 32)} {
		require.NoError(t, ValidateHostname(name), name)
	}
	for name, want := range map[string]string{
		"-a":                     `hostname "-a": the label "-a" (allowed: 1 to 63 letters, digits and inner dashes)`,
		"a-":                     `the label "a-"`,
		"a..b":                   `the label ""`,
		"a.":                     `the label ""`,
		".":                      `the label ""`,
		"a_b":                    `the label "a_b"`,
		"a b":                    `the label "a b"`,
		"a\n":                    `the label "a\n"`,
		"a\x00":                  `the label "a\x00"`,
		"müller":                 `the label "müller"`,
		strings.Repeat("a", 64):  `(allowed: 1 to 63 letters`,
		strings.Repeat("a.", 33): "hostname: has 66 bytes (allowed: at most 64)",
	} {
		require.ErrorContains(t, ValidateHostname(name), want, name)
	}
}
