package resource_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer/resource"
)

func TestValidateRole(t *testing.T) {
	for _, ok := range []string{"*", "ops", "ops/db", "a/b/c", "a.b", "..a", "a-", "web_1", "größe", strings.Repeat("r", 255)} {
		require.NoError(t, resource.ValidateRole(ok), ok)
	}
	for _, bad := range []string{
		"", ".", "..", "-a", "a/-b", "/a", "a/", "a//b", "a/./b", "a/..", "a/*", "*/a", "a b", "a\tb", "a\x08", "a\x7f", "a\n", "a\u00a0b", "\xff",
		strings.Repeat("r", 256),
	} {
		require.Error(t, resource.ValidateRole(bad), "%q", bad)
	}
}

func TestRoleTree(t *testing.T) {
	require.Equal(t, []string{"a/b", "a"}, resource.RoleAncestors("a/b/c"))
	require.Empty(t, resource.RoleAncestors("a"))
	require.Empty(t, resource.RoleAncestors("*"))
	require.True(t, resource.IsDescendant("a/b", "a"))
	require.True(t, resource.IsDescendant("a/b/c", "a"))
	require.False(t, resource.IsDescendant("a", "a"))
	require.False(t, resource.IsDescendant("ab", "a"))
	require.False(t, resource.IsDescendant("a", "a/b"))
	require.False(t, resource.IsDescendant("a", "*"))
	require.False(t, resource.IsDescendant("/a", ""))
}
