package describe

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTablesAreSortedAlignedAndBare(t *testing.T) {
	var b strings.Builder
	Table(&b, []string{"id", "state"}, nil)
	require.Empty(t, b.String())
	Table(&b, []string{"id", "state"}, [][]string{{"t-10", "x"}, {"a", Dash("")}})
	require.Equal(t, "id    state\na     -\nt-10  x\n", b.String())
}
