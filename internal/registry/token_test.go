package registry

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
)

func TestATokenIsUsedOnceAndInTime(t *testing.T) {
	l := newLog(t)
	noon := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	hash := func(n int) (k Key) {
		binary.BigEndian.PutUint64(k[8:], uint64(n+1))
		return k
	}
	add := func(n int, life time.Duration) *AddToken {
		return &AddToken{Hash: hash(n), Expires: noon.Add(life), At: noon}
	}
	use := func(n int, member string, after time.Duration) *UseToken {
		return &UseToken{Hash: hash(n), Member: member, At: noon.Add(after)}
	}
	l.refused(offer.ReasonInvalidField, add(0, 0))
	l.refused(offer.ReasonInvalidField, &AddToken{Expires: noon.Add(1), At: noon})
	l.ok(add(0, time.Hour))
	l.refused(offer.ReasonDuplicateID, add(0, 2*time.Hour))
	l.ok(add(1, time.Hour))

	l.refused(offer.ReasonForbidden, use(7, "m-1", 0))
	l.refused(offer.ReasonInvalidField, use(0, "", 0))
	l.refused(offer.ReasonInvalidField, use(0, "a\nb", 0))
	l.refused(offer.ReasonForbidden, use(0, "m-1", time.Hour))
	before := l.s.View()
	l.ok(use(0, "m-1", time.Hour-1))
	require.Empty(t, before.Header().Tokens[0].Member, "what was read before does not change")
	for _, again := range []string{"m-1", "m-2"} {
		r := l.do(use(0, again, 0))
		require.Equal(t, offer.ReasonForbidden, r.Err.Reason)
		require.Contains(t, r.Err.Message, "was used by master m-1")
	}

	// Those that are of no use make room, those that can be used do not.
	for n := 2; n < MaxTokens; n++ {
		l.ok(add(n, time.Hour))
	}
	l.ok(add(100, time.Hour))
	l.refused(offer.ReasonForbidden, use(0, "m-1", 0))
	r := l.do(add(101, time.Hour))
	require.Equal(t, offer.ReasonLimitReached, r.Err.Reason)
	late := add(102, 3*time.Hour)
	late.At = noon.Add(2 * time.Hour)
	l.ok(late)
	require.Len(t, l.s.View().Header().Tokens, MaxTokens)

	restored, err := Import(stream(l.s.View()))
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(l.s.View().Header()), fmt.Sprint(restored.View().Header()))
}
