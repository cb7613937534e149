package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fetchingSlave starts a master and a slave with these flags more.
func fetchingSlave(t *testing.T, more ...string) *cluster {
	c := startCluster(t, 1, 0)
	c.slaves = append(c.slaves, startNode(t, c.dir, "slave-1", append([]string{"slave", "--listen", ports(t, 1)[0], "--master", c.seeds,
		"--work-dir", filepath.Join(c.dir, "slave-1"), "--hostname", "slave-1", "--resources", "cpus:2;mem:512"}, more...)...))
	return c
}

func TestWhatACommandNeedsIsFetchedFirst(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	hold := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Path {
		case "/app.tgz":
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			a := tar.NewWriter(z)
			body := "#!/bin/sh\ncat words.txt data/local; echo $1\n"
			_ = a.WriteHeader(&tar.Header{Name: "bin/app", Mode: 0o755, Size: int64(len(body))})
			_, _ = a.Write([]byte(body))
			_ = a.Close()
			_ = z.Close()
			_, _ = w.Write(b.Bytes())
		case "/words.txt":
			fmt.Fprintln(w, "words")
		case "/hold":
			select {
			case <-hold:
				fmt.Fprintln(w, "held")
			case <-r.Context().Done():
			}
		default:
			http.NotFound(w, r)
		}
	}))
	defer s.Close()
	files := openFolder(t)
	require.NoError(t, os.WriteFile(filepath.Join(files, "local"), []byte("local\n"), 0o644))
	c := fetchingSlave(t, "--fetch-allow", "127.0.0.0/8", "--fetch-files", files)
	small := []string{"--cpus", "0.1", "--mem", "32"}
	run := func(args ...string) (string, string, int) {
		return meros(t, c.args("run", append(small[:4:4], args...)...)...)
	}
	out, errs, code := run("--uri", s.URL+"/app.tgz,extract,cache", "--uri", s.URL+"/words.txt", "--uri", "file://"+files+"/local,as=data/local",
		"--", "bin/app", "done")
	require.Zero(t, code, errs)
	require.Equal(t, "words\nlocal\ndone\n", out)
	before := asked.Load()
	out, errs, code = run("--uri", s.URL+"/app.tgz,cache", "--", "ls")
	require.Zero(t, code, errs)
	require.Contains(t, out, "app.tgz\n")
	require.Equal(t, before, asked.Load(), "the second one was in the cache")
	// What is wrong is said in one line that names it.
	for uri, want := range map[string]string{s.URL + "/missing": "/missing: the server answers 404 Not Found",
		"file:///etc/passwd": "this slave allows no file URIs there", "http://169.254.169.254/x": "169.254.169.254 is a link-local address"} {
		_, errs, code = run("--uri", uri, "--", "true")
		require.Equal(t, 1, code)
		require.Contains(t, errs, want)
		require.Contains(t, errs, "REASON_CONTAINER_LAUNCH_FAILED")
	}
	// A kill ends a download.
	before = asked.Load()
	j := background(t, c.args("run", append(small[:4:4], "--uri", s.URL+"/hold", "--", "echo", "never")...)...)
	require.Eventually(t, func() bool { return asked.Load() > before }, 20*time.Second, 20*time.Millisecond, "it asks")
	require.NoError(t, j.cmd.Process.Signal(syscall.SIGINT))
	require.NotZero(t, j.wait())
	require.Empty(t, j.stdout.String())
	// A slave that is killed meanwhile begins anew, and the command runs once.
	before = asked.Load()
	j = background(t, c.args("run", append(small[:4:4], "--uri", s.URL+"/hold", "--", "cat", "hold")...)...)
	require.Eventually(t, func() bool { return asked.Load() > before }, 20*time.Second, 20*time.Millisecond, "it asks")
	c.slaves[0].kill()
	before = asked.Load()
	c.slaves[0].start()
	require.Eventually(t, func() bool { return asked.Load() > before }, 30*time.Second, 20*time.Millisecond, "it asks again")
	close(hold)
	require.Zero(t, j.wait(), j.stderr.String())
	require.Equal(t, "held\n", j.stdout.String())
}

// Without a word of the operator's, a stranger's URI cannot reach what listens on the slave's machine alone.
func TestLoopbackAndFilesAreClosedByDefault(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	c := fetchingSlave(t)
	for uri, want := range map[string]string{s.URL + "/x": "127.0.0.1 is a loopback address, which this slave does not allow", "file:///etc/passwd": "this slave allows no file URIs"} {
		_, errs, code := meros(t, c.args("run", "--cpus", "0.1", "--mem", "32", "--uri", uri, "--", "true")...)
		require.Equal(t, 1, code)
		require.Contains(t, errs, want)
	}
}
