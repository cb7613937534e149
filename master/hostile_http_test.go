package master_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// request speaks HTTP by hand, so that nothing is made better on the way. It returns the status and the body.
func (a *arena) request(text string) (int, string) {
	nc := a.open()
	defer nc.Close()
	go func() { _, _ = io.WriteString(nc, text) }()
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	require.NoError(a.t, err, "%.100q", text)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(a.t, err)
	return resp.StatusCode, string(body)
}

func TestRequestsThatAreNotServed(t *testing.T) {
	get := func(target string, headers ...string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
	}
	post := func(method, target, body string, headers ...string) string {
		return method + " " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + strings.Join(append(headers, ""), "\r\n") +
			fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
	}
	member := `{"id":"evil","address":"evil:1"}`
	for name, c := range map[string]struct {
		text string
		want int
	}{
		"a negative limit":                 {get("/tasks?limit=-1"), 400},
		"a limit beyond":                   {get("/tasks?limit=10001"), 400},
		"a limit of letters":               {get("/tasks?limit=many"), 400},
		"an overflowing limit":             {get("/tasks?limit=99999999999999999999"), 400},
		"a negative offset":                {get("/tasks?offset=-1"), 400},
		"an overflowing offset":            {get("/tasks?offset=99999999999999999999"), 400},
		"a framework that is none":         {get("/tasks?framework=../../f-1"), 200},
		"a slave that is none":             {get("/tasks?slave=%00%ff"), 200},
		"a large number of a slave":        {get("/tasks?slave=s-4294967297"), 200},
		"a long value":                     {get("/tasks?framework=" + strings.Repeat("x", 20_000)), 200},
		"no such path":                     {get("/etc/passwd"), 404},
		"a path upwards":                   {get("/tasks/%2e%2e/%2e%2e/etc/passwd"), 404},
		"a long header":                    {get("/tasks", "X: "+strings.Repeat("x", 100_000)), 431},
		"no host":                          {"GET /tasks HTTP/1.1\r\n\r\n", 400},
		"another method":                   {post("PUT", "/tasks", ""), 405},
		"a body that is none":              {post("POST", "/members", "{"), 400},
		"a large body":                     {post("POST", "/members", `{"id":"`+strings.Repeat("x", 1<<20)), 400},
		"a nested body":                    {post("POST", "/members", strings.Repeat("[", 60_000)), 400},
		"an unknown field":                 {post("POST", "/members", `{"id":"x","address":"x:1","admin":true}`), 400},
		"a member with a path":             {post("POST", "/members", `{"id":"../x","address":"x:1"}`), 400},
		"a page of another site":           {post("POST", "/members", member, "Origin: http://evil.example"), 403},
		"a browser's other site":           {post("POST", "/members", member, "Sec-Fetch-Site: cross-site"), 403},
		"a form of another site":           {post("DELETE", "/members/m", "", "Origin: null"), 403},
		"a name that was rebound":          {"POST /members HTTP/1.1\r\nHost: evil.example:1\r\nOrigin: http://evil.example:1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 403},
		"a name that was rebound, to look": {"GET /state-summary HTTP/1.1\r\nHost: evil.example:1\r\nConnection: close\r\n\r\n", 403},
	} {
		attack(t, name, func(t *testing.T, a *arena) {
			code, body := a.request(c.text)
			require.Equal(t, c.want, code, "%s", body)
			require.Less(t, len(body), 2000)
			require.NotContains(t, body, "root:")
			if c.want == 200 {
				require.JSONEq(t, `{"tasks":[]}`, body)
			}
		})
	}
	attack(t, "a body that never comes", func(t *testing.T, a *arena) {
		nc := a.open()
		_, err := io.WriteString(nc, "POST /members HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{")
		require.NoError(t, err)
		begin := time.Now()
		_, _ = io.Copy(io.Discard, nc)
		require.LessOrEqual(t, time.Since(begin), time.Minute)
	})
	attack(t, "names under which this master is known", func(t *testing.T, a *arena) {
		for _, host := range []string{"127.0.0.1", "127.0.0.1:5050", "[::1]:5050", "localhost:5050", "LOCALHOST", "m:1", "10.0.0.7"} {
			code, body := a.request("GET /health HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
			require.Equal(t, 200, code, "%s: %s", host, body)
		}
	})
}
