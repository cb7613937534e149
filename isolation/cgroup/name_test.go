package cgroup

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNamesOfCgroupsAreFileNamesThatNothingElseHas(t *testing.T) {
	for name, want := range map[string]bool{
		"": false, "a": true, "Az09_-": true, "-a": true, "a/b": false, "a\n": false, "é": false, "~a": false, "a b": false, "a\x00": false,
		strings.Repeat("a", 64): true, strings.Repeat("a", 65): false,
	} {
		require.Equal(t, want, isName(name, 64, false), "%q", name)
		require.Equal(t, want, isName(name, 64, true), "%q", name)
	}
	for name, dotted := range map[string]bool{".": false, "..": false, ".a": false, "a.b": true, "a..": true} {
		require.False(t, isName(name, 64, false), "%q", name)
		require.Equal(t, dotted, isName(name, 64, true), "%q", name)
	}
}
