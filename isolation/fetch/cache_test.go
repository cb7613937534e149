package fetch

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
)

// A busy server counts who asks, and answers when it is told to.
type busy struct {
	*httptest.Server
	asked, gone atomic.Int64
	release     chan struct{}
}

func newBusy(t *testing.T, size int) *busy {
	b := &busy{release: make(chan struct{})}
	b.Server = serve(t, func(w http.ResponseWriter, r *http.Request) {
		b.asked.Add(1)
		if r.URL.Query().Has("now") {
			_, _ = w.Write(make([]byte, size))
			return
		}
		select {
		case <-b.release:
			_, _ = w.Write(make([]byte, size))
		case <-r.Context().Done():
			b.gone.Add(1)
		}
	})
	return b
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, 20*time.Second, 5*time.Millisecond, what)
}

func TestManyTasksShareOneDownload(t *testing.T) {
	s := newBusy(t, 100)
	f := fetcher(t, Config{Allow: loopback, Cache: filepath.Join(base(t), "cache")})
	uri := offer.URI{Value: s.URL + "/x", Cache: true}
	var wg sync.WaitGroup
	errs, dirs := [6]error{}, [6]string{}
	for i := range errs {
		dirs[i] = sandbox(t)
		wg.Go(func() { errs[i] = fetchAs(context.Background(), f, nobody(), dirs[i], uri) })
	}
	// One more gives up: the others do not notice.
	ctx, cancel := context.WithCancel(context.Background())
	gaveUp := make(chan error, 1)
	go func() { gaveUp <- fetchAs(ctx, f, nobody(), sandbox(t), uri) }()
	refs := func() (n int) {
		f.cache.mu.Lock()
		defer f.cache.mu.Unlock()
		for _, e := range f.cache.entries {
			n += e.refs
		}
		return n
	}
	eventually(t, "all wait", func() bool { return refs() == len(errs)+1 })
	cancel()
	require.ErrorIs(t, <-gaveUp, context.Canceled)
	close(s.release)
	wg.Wait()
	for i := range errs {
		require.NoError(t, errs[i])
		require.Len(t, content(t, dirs[i], "x"), 100)
	}
	require.EqualValues(t, 1, s.asked.Load())
	// Later ones too, and a changed copy in one sandbox is nobody else's.
	require.NoError(t, os.WriteFile(filepath.Join(dirs[0], "x"), []byte("changed"), 0o644))
	dir, err := get(t, f, uri)
	require.NoError(t, err)
	require.Len(t, content(t, dir, "x"), 100)
	require.EqualValues(t, 1, s.asked.Load())
	// Another user asks for himself.
	if os.Geteuid() == 0 {
		other := &isolation.User{UID: 65533, GID: 65533, Name: "other"}
		dir := sandbox(t)
		require.NoError(t, os.Chown(dir, other.UID, other.GID))
		require.NoError(t, fetchAs(context.Background(), f, other, dir, uri))
		require.EqualValues(t, 2, s.asked.Load())
	}
	// A file that somebody has damaged is not handed out.
	paths, err := filepath.Glob(filepath.Join(f.cfg.Cache, "*"))
	require.NoError(t, err)
	for _, path := range paths {
		require.NoError(t, os.Truncate(path, 50))
	}
	dir, err = get(t, f, uri)
	require.NoError(t, err)
	require.Len(t, content(t, dir, "x"), 100)
	// A slave that starts begins with nothing.
	require.NoError(t, fetcher(t, f.cfg).Recover(context.Background(), nil))
	require.NoDirExists(t, f.cfg.Cache)
}

func TestTheLastToGiveUpEndsTheDownload(t *testing.T) {
	s := newBusy(t, 100)
	f := fetcher(t, Config{Allow: loopback, Cache: filepath.Join(base(t), "cache")})
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	for _, uri := range []offer.URI{{Value: s.URL + "/x", Cache: true}, {Value: s.URL + "/x"}} {
		asked, gone := s.asked.Load(), s.gone.Load()
		go func() { result <- fetchAs(ctx, f, nobody(), sandbox(t), uri) }()
		eventually(t, "it asks", func() bool { return s.asked.Load() == asked+1 })
		require.Len(t, children(t), 1)
		cancel()
		require.ErrorIs(t, <-result, context.Canceled)
		require.Empty(t, children(t), "no fetcher is left")
		eventually(t, "the server sees it go", func() bool { return s.gone.Load() == gone+1 })
		ctx, cancel = context.WithCancel(context.Background())
	}
	defer cancel()
	require.Zero(t, f.cache.total)
	require.Empty(t, f.cache.entries)
	// Nothing bad is remembered.
	close(s.release)
	_, err := get(t, f, offer.URI{Value: s.URL + "/x", Cache: true})
	require.NoError(t, err)
}

func TestTheCacheIsBounded(t *testing.T) {
	s := newBusy(t, 400)
	f := fetcher(t, Config{Allow: loopback, Cache: filepath.Join(base(t), "cache"), CacheBytes: 1000})
	want := func(name string, more int64) {
		t.Helper()
		asked := s.asked.Load()
		dir, err := get(t, f, offer.URI{Value: s.URL + "/" + name + "?now", Cache: true})
		require.NoError(t, err)
		require.Len(t, content(t, dir, name), 400)
		require.Equal(t, asked+more, s.asked.Load(), name)
		paths, err := filepath.Glob(filepath.Join(f.cfg.Cache, "*"))
		require.NoError(t, err)
		require.LessOrEqual(t, len(paths), 2)
		require.EqualValues(t, 400*len(paths), f.cache.total)
	}
	want("a", 1)
	want("b", 1)
	want("a", 0)
	want("c", 1) // in b's place, which was unused the longest
	want("a", 0)
	want("b", 1)
	// What can never fit goes past the cache, and leaves what is there alone.
	large := newBusy(t, 2000)
	dir, err := get(t, f, offer.URI{Value: large.URL + "/d?now", Cache: true})
	require.NoError(t, err)
	require.Len(t, content(t, dir, "d"), 2000)
	require.EqualValues(t, 2, large.asked.Load(), "once to see that it does not fit")
	want("a", 0)
	// What is in use is not thrown out.
	held := []*entry{}
	for _, name := range []string{"a", "b"} {
		e, err := f.cache.get(context.Background(), keyOf(nobody(), s.URL+"/"+name+"?now"), nil)
		require.NoError(t, err)
		held = append(held, e)
	}
	asked := s.asked.Load()
	dir, err = get(t, f, offer.URI{Value: s.URL + "/e?now", Cache: true})
	require.NoError(t, err)
	require.Len(t, content(t, dir, "e"), 400)
	require.Equal(t, asked+2, s.asked.Load())
	for _, e := range held {
		f.cache.release(e)
	}
}
