package mastercore

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/meros-project/meros/offer"
)

func TestAContainersIDComesBackAsItWas(t *testing.T) {
	u := offer.UUID{0x00, 0x9f, 0xab, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff}
	require.Len(t, appendContainer(nil, u.String()), 17)
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(rapid.String(), rapid.StringMatching(`[0-9a-fA-F-]{36}`),
			rapid.StringMatching(`[0-9a-fA-F]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)).Draw(t, "id")
		got, rest := cutContainer(string(append(appendContainer(nil, id), "message"...)))
		require.Equal(t, id, got)
		require.Equal(t, "message", rest)
	})
}
