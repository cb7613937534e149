package loopback

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPortIsGivenToNobodyElse(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for range 500 {
		p, err := Keep()
		require.NoError(t, err)
		defer p.Free()
		require.False(t, seen[p.Number()])
		seen[p.Number()] = true
	}
}

func TestAServerListensOnAPortThatIsKeptAndAgain(t *testing.T) {
	t.Parallel()
	p, err := Keep()
	require.NoError(t, err)
	defer p.Free()
	for range 2 {
		ln, err := net.Listen("tcp", p.Address())
		require.NoError(t, err)
		require.NoError(t, ln.Close())
	}
}
