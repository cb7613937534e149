package fetch

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
)

func TestMain(m *testing.M) {
	Main()
	if os.Getenv("MEROS_TEST_CONFINED") != "" {
		os.Exit(tryToBreakOut())
	}
	goleak.VerifyTestMain(m)
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// base is a folder that every user can reach.
func base(t testing.TB) string {
	dir, err := os.MkdirTemp("/tmp", "mf")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// nobody is whom tasks run as in these tests, where they are run by root.
func nobody() *isolation.User {
	if os.Geteuid() != 0 {
		return nil
	}
	return &isolation.User{UID: 65534, GID: 65534, Name: "nobody"}
}

// sandbox is a new one, which belongs to the task's user.
func sandbox(t testing.TB) string {
	dir := filepath.Join(base(t), "sandbox")
	require.NoError(t, os.Mkdir(dir, 0o700))
	if u := nobody(); u != nil {
		require.NoError(t, os.Chown(dir, u.UID, u.GID))
	}
	return dir
}

func fetcher(t testing.TB, cfg Config) *Isolator {
	f, err := New(cfg)
	require.NoError(t, err)
	require.NoError(t, f.Recover(context.Background(), nil))
	return f
}

// fetchAs is what becomes of a container that wants these.
func fetchAs(ctx context.Context, f *Isolator, u *isolation.User, dir string, uris ...offer.URI) error {
	spec := &isolation.Spec{Container: "c", Sandbox: dir, Command: &offer.Command{Value: "true", URIs: uris}}
	plan := &isolation.Plan{User: u}
	if err := f.Prepare(ctx, spec, plan); err != nil {
		return err
	}
	return f.Provide(ctx, spec, plan)
}

func get(t testing.TB, f *Isolator, uris ...offer.URI) (string, error) {
	dir := sandbox(t)
	return dir, fetchAs(context.Background(), f, nobody(), dir, uris...)
}

func content(t testing.TB, parts ...string) string {
	b, err := os.ReadFile(filepath.Join(parts...))
	require.NoError(t, err)
	return string(b)
}

func serve(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(handler)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

func tgz(entries ...tar.Header) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, h := range entries {
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		_, _ = w.Write(bytes.Repeat([]byte("x"), int(h.Size)))
	}
	_ = w.Close()
	_ = z.Close()
	return b.Bytes()
}

func TestTheFetcherKeepsTheContract(t *testing.T) {
	isolationtest.TestIsolator(t, func(t *testing.T) isolation.Isolator {
		return fetcher(t, Config{Cache: filepath.Join(base(t), "cache")})
	},
		func(*testing.T) int { return os.Getpid() })
}

func TestFilesArriveUnderTheirNames(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/app.tgz":
			_, _ = w.Write(tgz(tar.Header{Name: "bin/app", Size: 3, Mode: 0o4755}, tar.Header{Name: "bin/same", Typeflag: tar.TypeLink, Linkname: "bin/app"},
				tar.Header{Name: "lib/same", Typeflag: tar.TypeLink, Linkname: "bin/app"}))
		case "/moved":
			http.Redirect(w, r, "/a", http.StatusFound)
		case "/locked":
			user, password, _ := r.BasicAuth()
			fmt.Fprint(w, user+" "+password)
		default:
			fmt.Fprint(w, r.URL.String())
		}
	})
	files := base(t)
	require.NoError(t, os.WriteFile(filepath.Join(files, "local.txt"), []byte("local"), 0o644))
	dir, err := get(t, fetcher(t, Config{Allow: loopback, Files: []string{files}}),
		offer.URI{Value: s.URL + "/a?q=1"}, offer.URI{Value: s.URL + "/b%20c.sh", Executable: true},
		offer.URI{Value: s.URL + "/d", OutputFile: "e/f/g"}, offer.URI{Value: s.URL + "/app.tgz", Extract: true},
		offer.URI{Value: s.URL + "/app.tgz"}, offer.URI{Value: s.URL + "/plain.txt", Extract: true}, offer.URI{Value: s.URL + "/moved"},
		offer.URI{Value: strings.Replace(s.URL, "http://", "http://me:secret@", 1) + "/locked"}, offer.URI{Value: "file://" + files + "/local.txt"})
	require.NoError(t, err)
	require.Equal(t, "/a?q=1", content(t, dir, "a"))
	require.Equal(t, "/b%20c.sh", content(t, dir, "b c.sh"))
	require.Equal(t, "/d", content(t, dir, "e/f/g"))
	require.Equal(t, "xxx", content(t, dir, "bin/app"))
	require.Equal(t, "xxx", content(t, dir, "lib/same"))
	require.Equal(t, "/plain.txt", content(t, dir, "plain.txt"), "what is no archive is kept")
	require.Equal(t, "/a", content(t, dir, "moved"))
	require.Equal(t, "me secret", content(t, dir, "locked"))
	require.Equal(t, "local", content(t, dir, "local.txt"))
	require.NotEmpty(t, content(t, dir, "app.tgz"), "an archive that is not to be unpacked is kept")
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 10, "nothing else is left: %v", names)
	for name, mode := range map[string]fs.FileMode{"a": 0o644, "b c.sh": 0o755, "bin/app": 0o755} {
		st, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, mode, st.Mode(), name)
		if u := nobody(); u != nil {
			require.EqualValues(t, u.UID, st.Sys().(*syscall.Stat_t).Uid)
		}
	}
}

func TestTheWayToTheSandboxMayBeClosedToTheTasksUser(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x") })
	dir := sandbox(t)
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o700))
	require.NoError(t, fetchAs(context.Background(), fetcher(t, Config{Allow: loopback}), nobody(), dir, offer.URI{Value: s.URL + "/a/b"}))
	require.Equal(t, "x", content(t, dir, "b"))
}

func TestWhatCannotBeFetchedIsSaidInWords(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/short":
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "only this")
		case "/announced":
			w.Header().Set("Content-Length", "2000000")
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		case "/drip":
			w.WriteHeader(http.StatusOK)
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte("."))
				w.(http.Flusher).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		case "/silent":
			<-r.Context().Done()
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/nowhere":
			w.WriteHeader(http.StatusFound)
		case "/to":
			w.Header().Set("Location", r.URL.Query().Get("x"))
			w.WriteHeader(http.StatusTemporaryRedirect)
		case "/climb.tgz":
			_, _ = w.Write(tgz(tar.Header{Name: "../../etc/cron.d/x", Size: 1}))
		case "/out.tgz":
			_, _ = w.Write(tgz(tar.Header{Name: "stderr", Size: 1}))
		case "/page.tgz":
			fmt.Fprint(w, "<html>")
		case "/headers":
			w.Header().Set("X", strings.Repeat("x", 100<<10))
		default:
			http.NotFound(w, r)
		}
	})
	files := base(t)
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(files, "link")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(files, "fifo"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(files, "secret"), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(files, "large"), make([]byte, 1<<20+1), 0o644))
	cfg := Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Files: []string{files}, MaxBytes: 1 << 20, Stall: 300 * time.Millisecond}
	for uri, want := range map[string]string{
		s.URL + "/missing":                                      s.URL + "/missing: the server answers 404 Not Found",
		s.URL + "/short":                                        "/short: ends after 9 bytes of the 1000 that were announced",
		s.URL + "/announced":                                    "has 2000000 bytes (allowed: at most 1048576)",
		s.URL + "/endless":                                      "has more than 1048576 bytes, the most that is allowed",
		s.URL + "/drip":                                         "less than 1024 bytes came in 300ms",
		s.URL + "/silent":                                       "timeout awaiting response headers",
		s.URL + "/loop":                                         "more than 10 redirects",
		s.URL + "/nowhere":                                      "the server redirects to nowhere",
		s.URL + "/headers":                                      "server response headers exceeded",
		s.URL + "/to?x=http://127.0.0.2:1/":                     "/to?...: 127.0.0.2 is a loopback address, which this slave does not allow",
		s.URL + "/to?x=http://[::1]:1/":                         "::1 is a loopback address",
		s.URL + "/to?x=http://[::ffff:127.0.0.2]:1/":            "127.0.0.2 is a loopback address",
		s.URL + "/to?x=http://169.254.169.254/latest/":          "169.254.169.254 is a link-local address",
		s.URL + "/to?x=http://[fd00:ec2::254]/latest/":          "fd00:ec2::254 is a metadata service's address",
		s.URL + "/to?x=http://0.0.0.0:1/":                       "0.0.0.0 is an unspecified address",
		s.URL + "/to?x=http://0x7f.2:1/":                        "",                                  // however it is written
		s.URL + "/to?x=file:///etc/passwd":                      "/to?...: the server redirects to ", // without a host, or of another scheme
		s.URL + "/to?x=gopher://127.0.0.1/x":                    `the server redirects to scheme "gopher"`,
		"http://127.0.0.1:1/x":                                  "http://127.0.0.1:1/x: dial tcp 127.0.0.1:1: connect: connection refused",
		"http://me:hunter2@127.0.0.2:1/x?token=hunter2#hunter2": "http://127.0.0.2:1/x?...: 127.0.0.2 is a loopback address",
		"http://[::1]:1/x":                                      "::1 is a loopback address",
		"http://169.254.169.254/latest/meta-data":               "169.254.169.254 is a link-local address, which this slave does not allow",
		s.URL + "/climb.tgz":                                    `/climb.tgz: entry "../../etc/cron.d/x": has a name with ".."`,
		s.URL + "/out.tgz":                                      `entry "stderr": has a name that is reserved`,
		s.URL + "/page.tgz":                                     "/page.tgz: gzip: ",
		s.URL + "/x%2Fstdout":                                   "", // a name is one part of a path, and this one is the task's output
		s.URL + "/a%0Ab":                                        "ends in a name that cannot be used",
		s.URL + "/a.txz":                                        "404",
		"file:///etc/passwd":                                    "file:///etc/passwd: this slave allows no file URIs there (allowed: below " + files + ")",
		"file://" + files + "/../x":                             "this slave allows no file URIs there",
		"file://" + files + "/link":                             "/link: path escapes from parent",
		"file://" + files + "/fifo":                             "/fifo: is not a file",
		"file://" + files + "/large":                            "has 1048577 bytes (allowed: at most 1048576)",
		"file://" + files + "/missing":                          "/missing: no such file or directory",
	} {
		t.Run(strings.ReplaceAll(strings.TrimPrefix(uri, s.URL), "/", "_"), func(t *testing.T) {
			t.Parallel()
			dir, err := get(t, fetcher(t, cfg), offer.URI{Value: uri, Extract: true})
			require.ErrorContains(t, err, want)
			require.NotContains(t, err.Error(), "hunter2", "secrets stay out of messages")
			names, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, names, "nothing is left of what failed")
			// The same by way of the cache.
			cached := cfg
			cached.Cache = filepath.Join(base(t), "cache")
			_, err = get(t, fetcher(t, cached), offer.URI{Value: uri, Extract: true, Cache: true})
			require.ErrorContains(t, err, want)
		})
	}
	_, err := get(t, fetcher(t, Config{}), offer.URI{Value: "file:///etc/hostname"})
	require.ErrorContains(t, err, "this slave allows no file URIs")
	_, err = get(t, fetcher(t, Config{}), offer.URI{Value: "http://localhost:1/x"})
	require.ErrorContains(t, err, "is a loopback address, which this slave does not allow")
	if u := nobody(); u != nil {
		_, err = get(t, fetcher(t, cfg), offer.URI{Value: "file://" + files + "/secret"})
		require.ErrorContains(t, err, "/secret: permission denied", "the task's user reads it, not the slave's")
	}
}

func TestAllOfATasksURIsShareOneTime(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write(make([]byte, 4096))
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	})
	_, err := get(t, fetcher(t, Config{Allow: loopback, Timeout: 500 * time.Millisecond}), offer.URI{Value: s.URL + "/x"})
	require.EqualError(t, err, s.URL+"/x: not done in 500ms, the most that is allowed for one task")
}

func TestARedirectToPlainTextIsRefused(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/plain" {
			http.Redirect(w, r, "http://127.0.0.1:1/x", http.StatusFound)
		}
		fmt.Fprint(w, "secret")
	}))
	defer s.Close()
	s.Config.ErrorLog = nil
	ca := filepath.Join(base(t), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pemOf(s), 0o644))
	_, err := get(t, fetcher(t, Config{Allow: loopback}), offer.URI{Value: s.URL + "/x"})
	require.ErrorContains(t, err, "certificate signed by unknown authority")
	f := fetcher(t, Config{Allow: loopback, CAFile: ca})
	dir, err := get(t, f, offer.URI{Value: s.URL + "/x"})
	require.NoError(t, err)
	require.Equal(t, "secret", content(t, dir, "x"))
	_, err = get(t, f, offer.URI{Value: s.URL + "/plain"})
	require.ErrorContains(t, err, "/plain: the server redirects from https to http, to http://127.0.0.1:1/x")
}

func TestAddresses(t *testing.T) {
	allow := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	for _, c := range []struct {
		addr     string
		first    bool // may be asked for
		redirect bool // and redirected to, from a public address
	}{
		{"93.184.216.34", true, true}, {"2606:4700::1", true, true}, {"10.0.0.1", true, false}, {"192.168.1.1", true, false}, {"172.16.0.1", true, false},
		{"fd12::1", true, false}, {"100.64.0.1", true, false}, {"10.1.2.3", true, true}, {"127.0.0.1", false, false}, {"127.8.9.1", false, false},
		{"::1", false, false}, {"::ffff:127.0.0.1", false, false}, {"::127.0.0.1", false, false}, {"0.0.0.0", false, false}, {"::", false, false}, {"0.1.2.3", false, false},
		{"169.254.169.254", false, false}, {"fe80::1%eth0", false, false}, {"fd00:ec2::254", false, false}, {"100.100.100.200", false, false},
		{"168.63.129.16", false, false}, {"192.0.0.192", false, false}, {"224.0.0.1", false, false}, {"ff02::1", false, false}, {"255.255.255.255", false, false},
		{"64:ff9b::a9fe:a9fe", false, false}, {"64:ff9b::a00:1", true, false}, {"2002:7f00:1::1", false, false}, {"2002:5db8:d822::1", true, true},
	} {
		_, err := check(netip.MustParseAddr(c.addr), public, false, allow)
		require.Equal(t, c.first, err == nil, "%s: %v", c.addr, err)
		_, err = check(netip.MustParseAddr(c.addr), public, true, allow)
		require.Equal(t, c.redirect, err == nil, "%s: %v", c.addr, err)
	}
	_, err := check(netip.MustParseAddr("10.0.0.1"), private, true, nil)
	require.NoError(t, err, "one private address may redirect to another")
	_, err = check(netip.MustParseAddr("10.0.0.1"), public, true, nil)
	require.EqualError(t, err, "a public address redirects to 10.0.0.1, a private address, which this slave does not allow")
}

// children are the fetchers that this process has.
func children(t *testing.T) (pids []int) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	for _, dir := range dirs {
		args, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		status, _ := os.ReadFile(filepath.Join(dir, "status"))
		if strings.TrimRight(string(args), "\x00") == roleName && strings.Contains(string(status), fmt.Sprintf("PPid:\t%d\n", os.Getpid())) {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestAFetcherIsConfined(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("needs /proc to look at another process")
	}
	s := newBusy(t, 1)
	f := fetcher(t, Config{Allow: loopback})
	result := make(chan error, 1)
	go func() {
		result <- fetchAs(context.Background(), f, nobody(), sandbox(t), offer.URI{Value: s.URL + "/x"})
	}()
	eventually(t, "it asks", func() bool { return s.asked.Load() == 1 })
	pids := children(t)
	require.Len(t, pids, 1)
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pids[0]))
	require.NoError(t, err)
	require.NotEmpty(t, threads)
	for _, thread := range threads {
		status := content(t, thread)
		require.Contains(t, status, "NoNewPrivs:\t1\n")
		if u := nobody(); u != nil {
			require.Contains(t, status, fmt.Sprintf("Uid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d\n", u.UID))
			require.Contains(t, status, "CapEff:\t0000000000000000\n")
			require.Contains(t, status, "CapPrm:\t0000000000000000\n")
		}
	}
	limits := content(t, fmt.Sprintf("/proc/%d/limits", pids[0]))
	for _, l := range []string{"Max core file size        0  ", "Max open files            512 ", "Max cpu time              901 ", "Max file size             8589934592 "} {
		require.Contains(t, limits, l)
	}
	environment := content(t, fmt.Sprintf("/proc/%d/environ", pids[0]))
	require.NotContains(t, environment, "HOME=")
	close(s.release)
	require.NoError(t, <-result)
}

// The second wall: even a fetcher that does what its archive wants cannot read or write elsewhere.
func TestAConfinedProcessReachesItsSandboxOnly(t *testing.T) {
	if !landlocked() {
		require.NotEqual(t, "true", os.Getenv("CI"), "this kernel has no Landlock, and this is CI, where everything runs")
		t.Skip("this kernel has no Landlock, so that the second wall is missing")
	}
	require.Empty(t, fetcher(t, Config{}).Lacks())
	dir, other := sandbox(t), base(t)
	require.NoError(t, os.Chmod(other, 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(other, "open"), []byte("x"), 0o666))
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"MEROS_TEST_CONFINED=" + dir, "OTHER=" + other}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// tryToBreakOut is what the confined process of the test above does.
func tryToBreakOut() int {
	dir, other := os.Getenv("MEROS_TEST_CONFINED"), os.Getenv("OTHER")
	if err := Confine((&job{User: nobody(), Sandbox: dir, Config: Config{MaxBytes: 1000, Timeout: time.Minute}}).confinement()); err != nil {
		fmt.Println(err)
		return 1
	}
	if err := os.WriteFile(filepath.Join(dir, "mine"), []byte("x"), 0o644); err != nil {
		fmt.Println("its own sandbox is closed:", err)
		return 1
	}
	if _, err := os.ReadFile("/etc/resolv.conf"); err != nil && !os.IsNotExist(err) {
		fmt.Println("names cannot be looked up:", err)
		return 1
	}
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, 2000), 0o644); err == nil {
		fmt.Println("files have no limit")
		return 1
	}
	if _, err := os.ReadFile(filepath.Join(other, "open")); err == nil {
		fmt.Println("no landlock, or it lets everything be read")
		return 1
	}
	if err := os.WriteFile(filepath.Join(other, "new"), nil, 0o644); err == nil {
		fmt.Println("other folders can be written to")
		return 1
	}
	if _, err := os.ReadDir("/"); err == nil {
		fmt.Println("other folders can be listed")
		return 1
	}
	return 0
}

// A slave that is killed takes its fetchers with it: the end of their stdin is their own.
func TestAFetcherEndsWithItsSlave(t *testing.T) {
	s := newBusy(t, 1)
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{roleName}, Env: []string{roleVariable + "=" + roleName}}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = fmt.Fprintf(in, `{"Sandbox":%q,"Items":[{"URI":"%s/x","Name":"x"}],"Allow":["127.0.0.0/8"],"MaxBytes":1000,"Timeout":%d,"Stall":%d}`+"\n", base(t), s.URL, time.Hour, time.Hour)
	require.NoError(t, err)
	eventually(t, "it asks", func() bool { return s.asked.Load() == 1 })
	require.NoError(t, in.Close())
	require.Error(t, cmd.Wait())
	require.Equal(t, 3, cmd.ProcessState.ExitCode())
}

// A fetcher that a hostile server has taken over says what it likes: it costs its own task.
func TestAFetcherThatTalksNonsenseFailsItsTask(t *testing.T) {
	for said, want := range map[string]reply{
		"":                           {},
		"nonsense\n":                 {Error: "the fetcher talks nonsense"},
		strings.Repeat("x", 100<<10): {},
		`{"Room":5}` + "\n":          {},
		`{"Room":-5}` + "\n" + `{"Done":true}` + "\n": {Done: true},
		`{"Error":"no"}` + "\n":                       {Error: "no"},
	} {
		c := &Child{in: discard{}}
		c.listen(strings.NewReader(said), maxReply)
		last, denied := c.converse(&job{}, func(int64) bool { return false })
		require.Equal(t, want, last, said)
		require.Equal(t, strings.Contains(said, "Room"), denied)
	}
	require.Equal(t, "a b?", Tame("a\nb\xff\n"))
	require.Len(t, Tame(strings.Repeat("x", 5000)), maxMessage)
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) Close() error                { return nil }

func TestConfigurationsAreChecked(t *testing.T) {
	for want, cfg := range map[string]Config{
		`fetch: config: Cache is "x" (allowed: the absolute path of a folder)`:                       {Cache: "x"},
		`fetch: config: Files[0] is "/no/such" (allowed: the absolute path of a folder that exists)`: {Files: []string{"/no/such"}},
		"fetch: config: Allow[0] is not a range of addresses (allowed: such as 127.0.0.0/8)":         {Allow: []netip.Prefix{{}}},
		`fetch: config: CAFile is "/no/such" (allowed: the absolute path of a file that exists)`:     {CAFile: "/no/such"},
		"fetch: config: Stall is -1 (allowed: more than zero)":                                       {Stall: -1},
	} {
		_, err := New(cfg)
		require.EqualError(t, err, want)
	}
}

func pemOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}
