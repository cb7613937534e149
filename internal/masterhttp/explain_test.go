package masterhttp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/masterhttp"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// why is an explanation with one finding of each shape.
func why() mastercore.Why {
	return mastercore.Why{Notes: []string{"f-1: has outstanding offers: o-1-1"}, Explanation: allocator.Explanation{Framework: "f-1", Slaves: 3, Findings: []allocator.Finding{
		{Cause: allocator.Constrained, Role: "a", Slave: "s-1", Slaves: 1, Examples: []offer.SlaveID{"s-1"},
			Miss:   &offer.Miss{Group: 1, Failed: 1, Constraint: offer.Constraint{Of: offer.OfZone, Op: offer.Exists}, Missing: true},
			Change: allocator.Change{Kind: allocator.RelaxConstraint, Role: "a"}},
		{Cause: allocator.OverLimit, Role: "a", Slave: "s-1", Slaves: 3, Of: "a", Name: "cpus", Limit: 4000, Consumed: 3500, Have: 500, Want: 1000,
			Change: allocator.Change{Kind: allocator.RaiseLimit, Role: "a", Name: "cpus", From: 4000, To: 4500}},
		{Cause: allocator.KeptBack, Role: "a", Slave: "s-1", Slaves: 3, Name: "cpus", Promises: []allocator.Promise{{Role: "g", Guarantee: 2000}}, Want: 1000},
		{Cause: allocator.Filtered, Role: "a", Slave: "s-1", Slaves: 1, Resources: resource.Must("cpus:1"), Wait: 1500 * time.Millisecond,
			Change: allocator.Change{Kind: allocator.WaitOrRevive, Role: "a", Wait: 1500 * time.Millisecond}},
		{Cause: allocator.OthersTurn, Role: "a", Slave: "s-1", Slaves: 1,
			Rival: &allocator.Rival{Framework: "f-2", Role: "b", Mine: "a", Its: "b", MyShare: 500_000, ItsShare: 250_000}},
	}}}
}

func TestAnExplanationIsToldInJSONAndInPlainText(t *testing.T) {
	s := source(aView(t))
	var asked []string
	s.Explain = func(_ context.Context, framework offer.FrameworkID, role string, slave offer.SlaveID) (mastercore.Why, error) {
		asked = []string{string(framework), role, string(slave)}
		return why(), nil
	}
	h := masterhttp.New(s)
	code, _, out := get(t, h, "GET", "/explain?framework=f-1&role=a%2Fb&slave=s-1", "")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, []string{"f-1", "a/b", "s-1"}, asked)
	require.Equal(t, why().String(), out["text"])
	require.Equal(t, []any{"f-1: has outstanding offers: o-1-1"}, out["notes"])
	list := out["findings"].([]any)
	require.Len(t, list, 5)
	find := func(i int) map[string]any { return list[i].(map[string]any) }
	require.Equal(t, map[string]any{"group": 1.0, "failed": 1.0, "text": "zone exists", "missing": true}, find(0)["constraint"])
	require.Equal(t, "over-limit", find(1)["cause"])
	require.Equal(t, 0.5, find(1)["have"])
	require.Equal(t, map[string]any{"kind": "raise-limit", "role": "a", "name": "cpus", "from": 4.0, "to": 4.5,
		"text": "raise the cpus limit of role a from 4 to 4.5"}, find(1)["change"])
	require.Equal(t, []any{map[string]any{"role": "g", "guarantee": 2.0, "consumed": 0.0}}, find(2)["promises"])
	require.Equal(t, 1.5, find(3)["wait_seconds"])
	require.Equal(t, 0.25, find(4)["rival"].(map[string]any)["its_share"])
	require.NotContains(t, find(4), "change")

	r := httptest.NewRequest("GET", "http://m1:5050/explain?framework=f-1", nil)
	r.Header.Set("Accept", "text/plain")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
	require.Equal(t, why().String(), w.Body.String())
}

func TestAQuestionThatCannotBeAnsweredSaysWhy(t *testing.T) {
	s := source(aView(t))
	var refusal error
	s.Explain = func(context.Context, offer.FrameworkID, string, offer.SlaveID) (mastercore.Why, error) {
		return mastercore.Why{}, refusal
	}
	h := masterhttp.New(s)
	code, _, out := get(t, h, "GET", "/explain?role=a", "")
	require.Equal(t, http.StatusBadRequest, code)
	require.Contains(t, out["error"], "framework")
	for _, c := range []struct {
		reason offer.Reason
		code   int
	}{{offer.ReasonFrameworkUnknown, 404}, {offer.ReasonUnknownID, 404}, {offer.ReasonSlaveGone, 409}, {offer.ReasonLimitReached, 429}} {
		refusal = offer.Refuse(c.reason, "because")
		code, _, out := get(t, h, "GET", "/explain?framework=f-1", "")
		require.Equal(t, c.code, code)
		require.Equal(t, "because", out["error"])
	}
	refusal = context.DeadlineExceeded
	code, _, _ = get(t, h, "GET", "/explain?framework=f-1", "")
	require.Equal(t, http.StatusInternalServerError, code)
	s = source(nil)
	code, header, _ := get(t, masterhttp.New(s), "GET", "/explain?framework=f-1", "")
	require.Equal(t, http.StatusTemporaryRedirect, code)
	require.Equal(t, "http://m2:5050/explain?framework=f-1", header.Get("Location"))
	s = source(aView(t))
	s.Leading = func() bool { return true }
	s.Explain = func(context.Context, offer.FrameworkID, string, offer.SlaveID) (mastercore.Why, error) {
		return mastercore.Why{}, offer.Refuse(offer.ReasonNotLeader, "just deposed")
	}
	code, _, _ = get(t, masterhttp.New(s), "GET", "/explain?framework=f-1", "")
	require.Equal(t, http.StatusServiceUnavailable, code)
}
