package frameworktest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/sim"
)

func TestEachKindOfFaultHasItsNameAndItsClass(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "faults.go", nil, 0)
	require.NoError(t, err)
	var names []string
	for _, s := range f.Decls[2].(*ast.GenDecl).Specs {
		names = append(names, s.(*ast.ValueSpec).Names[0].Name)
	}
	require.Equal(t, []string{"endFaults", "calm"}, names[len(names)-2:])
	names = names[:len(names)-2]
	require.Len(t, faults, len(names))
	require.Equal(t, len(names), bits.OnesCount64(uint64(AllFaults)))
	seen := map[sim.Fault]bool{}
	for i, name := range names {
		require.Equal(t, name, Faults(1<<i).String())
		class, draw := Faults(1 << i).classes()
		require.False(t, draw)
		require.False(t, seen[class], name)
		seen[class] = true
	}
	require.Equal(t, "LeaderDies|SlavesDie", (LeaderDies | SlavesDie).String())
	require.Equal(t, "Calm", Calm.String())
	require.Equal(t, "about half of all kinds", Faults(0).String())
	class, draw := Calm.classes()
	require.False(t, draw)
	require.EqualValues(t, sim.NoFaults, class)
	all, draw := Faults(0).classes()
	require.True(t, draw)
	require.Equal(t, len(names), bits.OnesCount64(uint64(all)))
}
