package masterhttp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/masterhttp"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// aView is a cluster with one slave, one framework, one running task and a weighted role.
func aView(t *testing.T) *mastercore.View {
	t.Helper()
	state := registry.New()
	state.Apply(registry.Entry{Commands: []registry.Command{{Key: registry.Key{1}, Op: &registry.Open{Cluster: "c", Master: "m", Level: 1}}}})
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	core := mastercore.New(now, mastercore.Config{MasterID: "m:5050", Registry: state.View(), Allocator: allocator.New(allocator.Config{})})
	var offers []offer.Offer
	var step func(ev mastercore.Event)
	step = func(ev mastercore.Event) {
		var more []mastercore.Event
		for _, e := range core.Step(now, ev, nil) {
			switch e := e.(type) {
			case mastercore.Propose:
				results := state.Apply(registry.Entry{Reign: 1, Commands: e.Commands})
				more = append(more, mastercore.Committed{Token: e.Token, Results: results})
			case mastercore.Send:
				if o, ok := e.Message.(*message.Offers); ok {
					offers = append(offers, o.Offers...)
				}
			}
		}
		for _, ev := range more {
			step(ev)
		}
	}
	role := "ops"
	weight := resource.Scalar(2500)
	step(mastercore.Received{Conn: 1, Message: &message.SlaveRegister{Nonce: offer.UUID{1}, Slave: offer.Slave{Hostname: "h1", Address: "h1:5051",
		Resources:  resource.Must("cpus:4;mem:1024;ports:[31000-31010]"),
		Attributes: []offer.Attribute{{Name: "rack", Text: "r1"}, {Name: "speed", Scalar: &weight}}}}})
	step(mastercore.Received{Conn: 2, Message: &message.Subscribe{Nonce: offer.UUID{2}, Framework: offer.Framework{Name: "fw", Roles: []string{"*"},
		FailoverTimeout: 90 * time.Second}}})
	step(mastercore.Called{Token: 1, Call: message.Operate{Verb: message.VerbSetWeight, Role: role, Weight: weight}})
	step(mastercore.Tick{})
	require.Len(t, offers, 1)
	step(mastercore.Received{Conn: 2, Message: &message.Accept{Last: true, Offers: []offer.OfferID{offers[0].ID}, Operations: []offer.Operation{
		offer.Launch(offer.Task{ID: "t1", Name: "one", SlaveID: offers[0].SlaveID, Resources: resource.Must("cpus:1.5;mem:100"),
			Command: &offer.Command{Value: "true", Shell: true}, Labels: []resource.Label{{Key: "k", Value: "v"}}})}}})
	healthy := false
	step(mastercore.Received{Conn: 1, Message: &message.StatusUpdate{Framework: offers[0].FrameworkID, Latest: offer.Running,
		Status: &offer.Status{TaskID: "t1", SlaveID: offers[0].SlaveID, State: offer.Running, UUID: offer.UUID{3}, Healthy: &healthy}}})
	return core.View()
}

func get(t *testing.T, h http.Handler, method, path, body string) (int, http.Header, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(method, "http://m1:5050"+path, strings.NewReader(body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var out map[string]any
	if w.Body.Len() > 0 {
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out), "%s", w.Body)
	}
	return w.Code, w.Header(), out
}

func source(v *mastercore.View) masterhttp.Source {
	return masterhttp.Source{
		View:    func(context.Context) *mastercore.View { return v },
		Leading: func() bool { return v != nil },
		Leader:  func() (string, bool) { return "m2:5050", true },
		Members: func(context.Context) ([]masterhttp.Member, error) {
			return []masterhttp.Member{{ID: "a", Address: "m1:5050", Voter: true}}, nil
		},
		Explain: func(context.Context, offer.FrameworkID, string, offer.SlaveID) (mastercore.Why, error) {
			return mastercore.Why{}, nil
		},
		AddMember:    func(context.Context, masterhttp.Joining) error { return nil },
		RemoveMember: func(context.Context, string) error { return nil },
		Transfer:     func(context.Context, string) error { return nil },
		NewToken: func(context.Context, time.Duration) ([16]byte, time.Time, error) {
			return [16]byte{1}, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), nil
		},
		Snapshot: func(_ context.Context, w io.Writer) error {
			_, err := io.WriteString(w, `"the registry"`)
			return err
		},
	}
}

func TestASnapshotIsTheLeadersAndNeverHalfOfOne(t *testing.T) {
	r := httptest.NewRequest("POST", "http://m1:5050/snapshot", nil)
	w := httptest.NewRecorder()
	masterhttp.New(source(aView(t))).ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, `"the registry"`, w.Body.String())
	require.Equal(t, "application/octet-stream", w.Header().Get("Content-Type"))

	code, header, _ := get(t, masterhttp.New(source(nil)), "POST", "/snapshot", "")
	require.Equal(t, http.StatusTemporaryRedirect, code)
	require.Equal(t, "http://m2:5050/snapshot", header.Get("Location"))

	for _, sent := range []string{"", "half"} {
		s := source(aView(t))
		s.Snapshot = func(_ context.Context, w io.Writer) error {
			if sent != "" {
				_, err := io.WriteString(w, sent)
				require.NoError(t, err)
			}
			return offer.Refuse(offer.ReasonNotLeader, "it was deposed")
		}
		server := httptest.NewServer(masterhttp.New(s))
		resp, err := http.Post(server.URL+"/snapshot", "", nil)
		if sent == "" {
			require.NoError(t, err)
			require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
			require.NoError(t, resp.Body.Close())
		} else if err == nil {
			_, err = io.ReadAll(resp.Body)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.NoError(t, resp.Body.Close())
		}
		server.Close()
	}
}

func TestTheStateIsToldInMesosNames(t *testing.T) {
	h := masterhttp.New(source(aView(t)))
	code, header, out := get(t, h, "GET", "/slaves", "")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
	slave := out["slaves"].([]any)[0].(map[string]any)
	require.Equal(t, "h1", slave["hostname"])
	require.Equal(t, "h1:5051", slave["pid"])
	require.Equal(t, true, slave["active"])
	require.Equal(t, map[string]any{"cpus": 4.0, "mem": 1024.0, "disk": 0.0, "gpus": 0.0, "ports": "[31000-31010]"}, slave["resources"])
	require.Equal(t, 1.5, slave["used_resources"].(map[string]any)["cpus"])
	require.Equal(t, map[string]any{"rack": "r1", "speed": 2.5}, slave["attributes"])

	_, _, out = get(t, h, "GET", "/frameworks", "")
	framework := out["frameworks"].([]any)[0].(map[string]any)
	require.Equal(t, "fw", framework["name"])
	require.Equal(t, 90.0, framework["failover_timeout"])
	require.Equal(t, 1.0, framework["tasks"])

	for _, path := range []string{"/tasks", "/tasks?framework=" + framework["id"].(string), "/tasks?slave=" + slave["id"].(string)} {
		_, _, out = get(t, h, "GET", path, "")
		require.Len(t, out["tasks"], 1, path)
		task := out["tasks"].([]any)[0].(map[string]any)
		require.Equal(t, "TASK_RUNNING", task["state"])
		require.Equal(t, false, task["healthy"])
		require.Equal(t, framework["id"], task["framework_id"])
		require.Equal(t, slave["id"], task["slave_id"])
	}
	for _, path := range []string{"/tasks?framework=none", "/tasks?slave=s-99", "/tasks?offset=1", "/tasks?limit=0"} {
		_, _, out = get(t, h, "GET", path, "")
		require.Empty(t, out["tasks"], path)
	}
	_, _, out = get(t, h, "GET", "/roles", "")
	require.Equal(t, 2.5, out["roles"].([]any)[0].(map[string]any)["weight"])
	_, _, out = get(t, h, "GET", "/state-summary", "")
	require.Equal(t, 1.0, out["activated_slaves"])
	require.Equal(t, "c", out["cluster"])
}

func TestAMasterThatDoesNotLeadRedirects(t *testing.T) {
	s := source(nil)
	code, header, _ := get(t, masterhttp.New(s), "GET", "/tasks?limit=3", "")
	require.Equal(t, http.StatusTemporaryRedirect, code)
	require.Equal(t, "http://m2:5050/tasks?limit=3", header.Get("Location"))
	code, _, _ = get(t, masterhttp.New(s), "DELETE", "/members/a", "")
	require.Equal(t, http.StatusTemporaryRedirect, code)
	code, _, _ = get(t, masterhttp.New(s), "GET", "/members", "")
	require.Equal(t, http.StatusTemporaryRedirect, code)
	s.Version = "1.2"
	code, _, body := get(t, masterhttp.New(s), "GET", "/version", "")
	require.Equal(t, 200, code)
	require.Equal(t, map[string]any{"version": "1.2"}, body)
	code, _, _ = get(t, masterhttp.New(s), "GET", "/health", "")
	require.Equal(t, http.StatusOK, code)
	s.Leader = func() (string, bool) { return "", false }
	code, header, _ = get(t, masterhttp.New(s), "GET", "/slaves", "")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "1", header.Get("Retry-After"))
	code, _, out := get(t, masterhttp.New(s), "GET", "/members", "")
	require.Equal(t, http.StatusOK, code, "without a leader any master tells what it remembers")
	require.Len(t, out["members"], 1)
}

func TestMembersAreAddedAndRemoved(t *testing.T) {
	s := source(aView(t))
	var calls []string
	s.AddMember = func(_ context.Context, j masterhttp.Joining) error {
		what := "add"
		switch {
		case j.Token != nil:
			what = fmt.Sprintf("join by %x in attempt %x", *j.Token, j.Attempt)
		case j.NonVoter:
			what = "add without a vote"
		case j.Promote:
			what = "promote"
		}
		calls = append(calls, what+" "+j.ID+" "+j.Address)
		return nil
	}
	s.RemoveMember = func(_ context.Context, id string) error { calls = append(calls, "remove "+id); return nil }
	s.Transfer = func(_ context.Context, id string) error { calls = append(calls, "transfer to "+id); return nil }
	s.NewToken = func(_ context.Context, life time.Duration) ([16]byte, time.Time, error) {
		calls = append(calls, "token for "+life.String())
		return [16]byte{15: 7}, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), nil
	}
	h := masterhttp.New(s)
	code, _, _ := get(t, h, "POST", "/members", `{"id":"b","address":"m3:5050"}`)
	require.Equal(t, http.StatusOK, code)
	code, _, _ = get(t, h, "DELETE", "/members/b", "")
	require.Equal(t, http.StatusOK, code)
	const one, two = "00000000000000000000000000000001", "00000000000000000000000000000002"
	for _, body := range []string{`"non_voter":true`, `"promote":true`, `"token":"` + one + `","attempt":"` + two + `"`} {
		code, _, _ = get(t, h, "POST", "/members", `{"id":"c","address":"m4:5050",`+body+`}`)
		require.Equal(t, http.StatusOK, code)
	}
	code, _, _ = get(t, h, "POST", "/members/c/lead", "")
	require.Equal(t, http.StatusOK, code)
	code, _, out := get(t, h, "POST", "/tokens", `{"life_s":90}`)
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, map[string]any{"token": "00000000000000000000000000000007", "expires": "2030-01-01T00:00:00Z"}, out)
	require.Equal(t, []string{"add b m3:5050", "remove b", "add without a vote c m4:5050", "promote c m4:5050",
		"join by " + one + " in attempt " + two + " c m4:5050", "transfer to c", "token for 1m30s"}, calls)
}

func TestBadRequestsSayWhatIsAllowed(t *testing.T) {
	s := source(aView(t))
	s.AddMember = func(_ context.Context, j masterhttp.Joining) error {
		if j.ID == "" {
			return offer.Refuse(offer.ReasonInvalidField, "member id is empty")
		}
		return errors.New("disk on fire")
	}
	h := masterhttp.New(s)
	for _, c := range []struct {
		method, path, body string
		code               int
		text               string
	}{
		{"GET", "/tasks?limit=x", "", 400, "0 to 10000"},
		{"GET", "/tasks?limit=10001", "", 400, "0 to 10000"},
		{"GET", "/tasks?offset=-1", "", 400, "offset"},
		{"POST", "/members", "{", 400, "body"},
		{"POST", "/members", `{"id":"b","nonsense":1}`, 400, "nonsense"},
		{"POST", "/members", strings.Repeat(" ", 1<<17) + "{}", 400, "too large"},
		{"POST", "/members", `{"address":"m3:5050"}`, 400, "member id"},
		{"POST", "/members", `{"id":"b"}`, 500, "disk on fire"},
		{"POST", "/members", `{"id":"b","promote":true,"non_voter":true}`, 400, "exclude each other"},
		{"POST", "/members", `{"id":"b","token":"00","attempt":"00000000000000000000000000000002"}`, 400, "token: must be 32"},
		{"POST", "/members", `{"id":"b","token":"00000000000000000000000000000002"}`, 400, "attempt: must be 32"},
		{"POST", "/members", `{"id":"b","token":"00000000000000000000000000000000","attempt":"00000000000000000000000000000002"}`, 400, "token: must be 32"},
		{"POST", "/tokens", `{}`, 400, "life_s"},
		{"POST", "/tokens", `{"life_s":9000000000000000000}`, 400, "life_s"},
		{"POST", "/tokens", `{"life_s":"x"}`, 400, "body"},
	} {
		code, _, out := get(t, h, c.method, c.path, c.body)
		require.Equal(t, c.code, code, "%s %s", c.method, c.path)
		require.Contains(t, out["error"], c.text)
	}
	r := httptest.NewRequest("POST", "http://m1:5050/members", strings.NewReader(`{"id":"b","address":"x"}`))
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusForbidden, w.Code, "another site's page")
}
