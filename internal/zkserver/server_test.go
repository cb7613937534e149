package zkserver

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// Three servers serve, and one that was killed comes back on the same address.
func TestServersFormAnEnsemble(t *testing.T) {
	t.Parallel()
	if missing := Missing(); missing != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%v: in CI it must be there", missing)
		}
		t.Skipf("%v to run this test", missing)
	}
	list, err := Start(Options{Dir: t.TempDir(), Servers: 3})
	require.NoError(t, err)
	defer Close(list)
	leaders := 0
	for _, s := range list {
		if s.Leads() {
			leaders++
		}
	}
	require.Equal(t, 1, leaders)
	list[0].Kill()
	require.Error(t, list[0].Ready())
	require.NoError(t, list[0].Start())
	require.NoError(t, list[0].Ready())
	require.Equal(t, "zk://"+list[0].Address+"/p", URL(list[:1], "/p"))
}
