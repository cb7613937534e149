package slave

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/stream"
	"github.com/meros-project/meros/offer"
)

// A client is one of a session on a test's server.
type client struct {
	t    *testing.T
	conn *stream.Conn
	send *io.PipeWriter
	body io.ReadCloser
}

// ask begins a session and returns the kind of the first answer, with its body.
func ask(t *testing.T, server *httptest.Server, req SessionRequest) (*client, stream.Kind, string) {
	t.Helper()
	from, send := io.Pipe()
	r, err := http.NewRequest(http.MethodPost, server.URL+SessionPath, from)
	require.NoError(t, err)
	r.Header.Set("Content-Type", SessionType)
	go func() { _ = stream.NewConn(nil, send).SendJSON(stream.Start, req) }()
	resp, err := server.Client().Do(r)
	require.NoError(t, err)
	c := &client{t: t, send: send, body: resp.Body, conn: stream.NewConn(resp.Body, send)}
	t.Cleanup(c.close)
	require.Equal(t, 200, resp.StatusCode)
	kind, body, err := c.conn.Receive()
	require.NoError(t, err)
	return c, kind, string(body)
}

func (c *client) close() {
	_ = c.send.Close()
	_ = c.body.Close()
}

// rest is what comes until the session ends.
func (c *client) rest() (stdout string, last stream.Kind, body string) {
	var out strings.Builder
	for {
		kind, b, err := c.conn.Receive()
		require.NoError(c.t, err)
		switch kind {
		case stream.Stdout:
			out.Write(b)
		case stream.Exit, stream.Refused:
			return out.String(), kind, string(b)
		}
	}
}

func execIn(task string, line string) SessionRequest {
	return SessionRequest{Framework: "f-1", Task: offer.TaskID(task),
		Exec: &isolation.ExecSpec{Command: offer.Command{Shell: true, Value: line}, Stdin: true}}
}

func TestSessionsOverHTTP(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Sessions: true})
	<-s.Ready()
	m.send(launch(command("t-1", "echo up; exec sleep 1000")))
	m.state("t-1", offer.Running)
	for name, server := range map[string]*httptest.Server{"HTTP/1.1": httptest.NewServer(s.Handler()), "HTTP/2": httptest.NewUnstartedServer(s.Handler())} {
		if name == "HTTP/2" {
			server.EnableHTTP2 = true
			server.StartTLS()
		}
		defer server.Close()
		c, kind, body := ask(t, server, execIn("t-1", "cat; exit 5"))
		require.Equal(t, stream.Started, kind, "%s: %s", name, body)
		require.NoError(t, c.conn.Send(stream.Stdin, []byte("typed")))
		require.NoError(t, c.conn.Send(stream.Stdin, nil))
		out, kind, body := c.rest()
		require.Equal(t, "typed", out)
		require.Equal(t, stream.Exit, kind)
		var exit offer.Exit
		require.NoError(t, json.Unmarshal([]byte(body), &exit))
		require.Equal(t, offer.Exit{Code: 5}, exit)
		c.close()

		for text, req := range map[string]SessionRequest{
			"no such task":       execIn("t-9", "true"),
			"command.value":      execIn("t-1", ""),
			"has a NUL byte":     execIn("t-1", "a\x00b"),
			"no such task runs":  {Framework: "f-2", Task: "t-1", Attach: &isolation.AttachSpec{}},
			"no such task runs ": {Framework: "f-1", Executor: "t-1", Attach: &isolation.AttachSpec{}},
		} {
			c, kind, body := ask(t, server, req)
			require.Equal(t, stream.Refused, kind, name)
			require.Contains(t, body, strings.TrimSpace(text), name)
			c.close()
		}

		var open []*client
		for range maxTaskSessions {
			c, kind, body := ask(t, server, execIn("t-1", "cat"))
			require.Equal(t, stream.Started, kind, body)
			open = append(open, c)
		}
		_, kind, body = ask(t, server, execIn("t-1", "cat")) // a client that stays is cut
		require.Equal(t, stream.Refused, kind)
		require.Contains(t, body, "too many sessions")
		for _, c := range open {
			c.close()
		}
		eventually(t, "there is room again", func() bool {
			s.sessions.mu.Lock()
			defer s.sessions.mu.Unlock()
			return s.sessions.all == 0
		})
	}
	m.send(&message.Kill{Framework: "f-1", Task: "t-1"})
	m.state("t-1", offer.Killing)
	m.state("t-1", offer.Killed)
}

func TestBadRequestsForSessionsAreRefused(t *testing.T) {
	s, _ := followed(t)
	post := func(contentType string, body []byte) (int, string) {
		r := httptest.NewRequest(http.MethodPost, SessionPath, bytes.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	code, body := post(SessionType, nil)
	require.Equal(t, 403, code)
	require.Contains(t, body, "sessions are off")
	s.cfg.Sessions = true
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded"} {
		code, _ = post(contentType, nil)
		require.Equal(t, 415, code, "what a web page may send unasked")
	}
	frame := func(kind stream.Kind, v any) []byte {
		var b bytes.Buffer
		require.NoError(t, stream.NewConn(nil, &b).SendJSON(kind, v))
		return b.Bytes()
	}
	for name, body := range map[string][]byte{"nothing": nil, "no frame": []byte("hello"), "another frame": frame(stream.Exit, 1), "no JSON": append(frame(stream.Start, 1)[:5], '{'),
		"nothing asked": frame(stream.Start, SessionRequest{Task: "t"}), "two things asked": frame(stream.Start, SessionRequest{Exec: &isolation.ExecSpec{}, Attach: &isolation.AttachSpec{}})} {
		code, _ := post(SessionType, body)
		require.Equal(t, 400, code, name)
	}
	code, body = post(SessionType, frame(stream.Start, execIn("t-1", "true")))
	require.Equal(t, 200, code)
	require.Contains(t, body, "no such task")
}
