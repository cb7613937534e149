package slave

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/offer"
)

// followed is a slave that only serves files, and the sandbox of one of its tasks.
func followed(t testing.TB) (*Slave, string) {
	dir := t.TempDir()
	s, err := New(Config{WorkDir: dir, Masters: []string{"master:5050"}})
	require.NoError(t, err)
	s.id.Store(offer.SlaveID("s-1"))
	s.serving.Store(&dir)
	sandbox := filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks/t-1")
	require.NoError(t, os.MkdirAll(sandbox, 0o755))
	return s, sandbox
}

const stdoutPath = "/frameworks/f-1/tasks/t-1/stdout"

// follow asks for what comes next.
func follow(s *Slave, path, at string) (code int, data, next string, lost bool) {
	w := httptest.NewRecorder()
	query := url.Values{"path": {path}, "at": {at}}
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/files/follow?"+query.Encode(), nil))
	body, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(body), w.Header().Get(nextHeader), w.Header().Get(lostHeader) == "true"
}

func TestWhoFollowsAFileThatIsRenamedGetsEveryByteOnce(t *testing.T) {
	s, sandbox := followed(t)
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		task := filepath.Join(filepath.Dir(sandbox), fmt.Sprint("t-", runs))
		require.NoError(rt, os.MkdirAll(task, 0o755))
		name := func(i int) string {
			if i == 0 {
				return filepath.Join(task, "stdout")
			}
			return filepath.Join(task, fmt.Sprint("stdout.", i))
		}
		const keep = 3
		var all, got strings.Builder
		at, renames, lost, complete := "", 0, false, true // complete: it was begun before anything was dropped
		create := func() { require.NoError(rt, os.WriteFile(name(0), nil, 0o644)) }
		read := func() {
			code, data, next, gap := follow(s, "/frameworks/f-1/tasks/"+filepath.Base(task)+"/stdout", at)
			require.Equal(rt, 200, code)
			got.WriteString(data)
			if at == "" && renames > keep {
				complete = false
			}
			lost, at = lost || gap, next
		}
		create()
		for i := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"print", "print", "rename", "read", "read"}).Draw(rt, "step") {
			case "print":
				line := fmt.Sprintf("line %d\n", i)
				f, err := os.OpenFile(name(0), os.O_APPEND|os.O_WRONLY, 0)
				require.NoError(rt, err)
				_, err = f.WriteString(line)
				require.NoError(rt, err)
				require.NoError(rt, f.Close())
				all.WriteString(line)
			case "rename":
				for i := keep; i >= 1; i-- {
					_ = os.Rename(name(i-1), name(i))
				}
				create()
				renames++
			case "read":
				read()
			}
		}
		for range keep + 3 {
			read()
		}
		kept := ""
		for i := keep; i >= 0; i-- {
			b, _ := os.ReadFile(name(i))
			kept += string(b)
		}
		require.True(rt, strings.HasSuffix(got.String(), kept), "%q ends with %q", got.String(), kept)
		if complete && !lost {
			require.Equal(rt, all.String(), got.String())
		}
		rest := all.String()
		for line := range strings.Lines(got.String()) { // in order, and each once
			_, after, found := strings.Cut(rest, line)
			require.True(rt, found, "%q after %q", line, got.String())
			rest = after
		}
	})
}

func TestWhoIsTooSlowIsToldThatSomethingIsMissing(t *testing.T) {
	s, sandbox := followed(t)
	out := filepath.Join(sandbox, "stdout")
	write := func(text string) { require.NoError(t, os.WriteFile(out, []byte(text), 0o644)) }
	write("one\n")
	code, data, at, lost := follow(s, stdoutPath, "")
	require.Equal(t, 200, code)
	require.Equal(t, "one\n", data)
	require.False(t, lost)
	require.NoError(t, os.Rename(out, out+".gone")) // renamed and dropped
	write("three\n")
	_, data, at, lost = follow(s, stdoutPath, at)
	require.True(t, lost)
	require.Equal(t, "three\n", data)
	require.NoError(t, os.Truncate(out, 0))
	_, data, at, lost = follow(s, stdoutPath, at)
	require.True(t, lost)
	require.Empty(t, data)
	_, data, _, lost = follow(s, stdoutPath, at)
	require.False(t, lost)
	require.Empty(t, data)
}

func TestBadPositionsAndFilesAreRefused(t *testing.T) {
	s, sandbox := followed(t)
	code, _, _, _ := follow(s, stdoutPath, "")
	require.Equal(t, 404, code)
	require.NoError(t, os.WriteFile(filepath.Join(sandbox, "stdout"), nil, 0o644))
	for _, at := range []string{"x", "x:", ":1", "x:-1", "x:99999999999999999999"} {
		code, body, _, _ := follow(s, stdoutPath, at)
		require.Equal(t, 400, code, at)
		require.Contains(t, body, "allowed")
	}
	code, _, _, lost := follow(s, stdoutPath, "somebody-else:3")
	require.Equal(t, 200, code)
	require.True(t, lost)
	code, _, _, _ = follow(s, "/frameworks/f-1/tasks/t-1", "")
	require.Equal(t, 400, code, "a folder")
	require.NoError(t, syscall.Mkfifo(filepath.Join(sandbox, "pipe"), 0o666))
	code, _, _, _ = follow(s, "/frameworks/f-1/tasks/t-1/pipe", "")
	require.Equal(t, 404, code, "a fifo")
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(sandbox, "out")))
	code, _, _, _ = follow(s, "/frameworks/f-1/tasks/t-1/out", "")
	require.Equal(t, 404, code, "a link out of the slave's folder")
}

func TestOutputIsKeptToWhatTheSlaveAndTheTaskSay(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, OutputBytes: 10_000, OutputFiles: -1})
	<-s.Ready()
	m.send(launch(command("t-1", "seq 1 10000"))) // 48,894 bytes
	m.state("t-1", offer.Running)
	m.state("t-1", offer.Finished)
	own := command("t-2", "seq 1 10000")
	own.Streams = &offer.Streams{OutputBytes: 20_000, OutputFiles: 7}
	m.send(launch(own))
	m.state("t-2", offer.Running)
	m.state("t-2", offer.Finished)
	read := func(task string) string {
		var all strings.Builder
		for at := ""; ; {
			code, data, next, lost := follow(s.Slave, "/frameworks/f-1/tasks/"+task+"/stdout", at)
			require.Equal(t, 200, code)
			require.False(t, lost)
			all.WriteString(data)
			if at = next; data == "" {
				return all.String()
			}
		}
	}
	kept := read("t-1")
	require.LessOrEqual(t, len(kept), 10_000)
	require.True(t, strings.HasSuffix(kept, "\n9999\n10000\n"))
	kept = read("t-2")
	require.Len(t, kept, 48_894)
	require.Equal(t, 10_000, strings.Count(kept, "\n"))
	for _, cfg := range []Config{{OutputBytes: 1}, {OutputFiles: 101}} {
		cfg.WorkDir, cfg.Masters = "x", []string{"master:5050"}
		require.ErrorContains(t, cfg.Validate(), "Output")
	}
}
