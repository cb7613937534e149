package supervisor

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/cgroup"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/isolation/namespace"
	"github.com/meros-project/meros/isolation/process"
)

// handsOff is an isolator that moves nobody into its cgroups.
type handsOff struct{ *cgroup.Isolator }

func (handsOff) Attach(context.Context, string, int) error { return nil }

// The first process of a container is in all of its cgroups before it runs the task, though nobody moves it there, and so is what it begets.
func TestAFirstProcessJoinsItsCgroupsByItself(t *testing.T) {
	isolationtest.NeedsRoot(t)
	cg, err := cgroup.New(cgroup.Config{Root: "meros-test-joins", Slave: fmt.Sprint(os.Getpid())})
	require.NoError(t, err)
	for name, start := range map[string]func(*bench){
		"alone": func(b *bench) { b.openWith(handsOff{cg}) },
		"apart": func(b *bench) { b.apart(process.Config{}, namespace.Config{}, handsOff{cg}) },
	} {
		b := newBench(t)
		start(b)
		s := b.spec(name, "cat /proc/self/cgroup")
		plan := &isolation.Plan{Cgroups: &isolation.Cgroups{}}
		require.NoError(t, cg.Prepare(t.Context(), s, plan), "to see what there is to join")
		want := len(plan.Cgroups.Tasks)
		if plan.Cgroups.Folder != "" {
			want++
		}
		out := b.run(s)
		require.Equal(t, want, strings.Count(out, "/meros-test-joins/"+fmt.Sprint(os.Getpid())+"."+name+"\n"), "%s", out)
	}
}
