package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/cgroup"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
)

func TestAFetcherIsHeldBeforeItIsToldWhatToDo(t *testing.T) {
	var asked atomic.Int32
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); _, _ = w.Write([]byte("content")) })
	log := &isolationtest.Log{}
	held := &isolationtest.Isolator{Log: log}
	f := fetcher(t, Config{Allow: loopback, Holder: held, Cache: filepath.Join(base(t), "cache")})
	dir, err := get(t, f, offer.URI{Value: s.URL + "/a", Cache: true})
	require.NoError(t, err)
	require.Equal(t, "content", content(t, dir, "a"))
	require.Equal(t, []string{"fake prepare fetch.1", "fake attach fetch.1", "fake cleanup fetch.1", "fake prepare fetch.2", "fake attach fetch.2",
		"fake cleanup fetch.2"}, log.Take(), "what fills the cache, and what fills the sandbox")
	require.EqualValues(t, 1, asked.Load())

	for method, want := range map[string][]string{"prepare": {"fake prepare fetch.1", "fake cleanup fetch.1"},
		"attach": {"fake prepare fetch.1", "fake attach fetch.1", "fake cleanup fetch.1"}} {
		held := &isolationtest.Isolator{Log: log, Fail: map[string]error{method: errors.New("no room")}}
		_, err = get(t, fetcher(t, Config{Allow: loopback, Holder: held}), offer.URI{Value: s.URL + "/b"})
		require.EqualError(t, err, "hold the fetcher: no room")
		require.Equal(t, want, log.Take())
	}
	require.EqualValues(t, 1, asked.Load(), "nothing was fetched by one that is not held")
	_, err = New(Config{Memory: -1})
	require.EqualError(t, err, "fetch: config: Memory is -1 (allowed: more than zero)")
}

// A tight holder has next to no memory for a fetcher.
type tight struct {
	*cgroup.Isolator
	root string
}

func (h *tight) Prepare(ctx context.Context, spec *isolation.Spec, plan *isolation.Plan) error {
	if err := h.Isolator.Prepare(ctx, spec, plan); err != nil {
		return err
	}
	for _, file := range []string{"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"} {
		if err := os.WriteFile(filepath.Join(h.root, "s."+spec.Container, file), []byte("131072"), 0); err != nil {
			return err
		}
	}
	return nil
}

func TestAFetcherThatTakesTooMuchMemoryIsKilledAndTheNumbersAreTold(t *testing.T) {
	isolationtest.NeedsRoot(t)
	const memory = "/sys/fs/cgroup/memory"
	if _, err := os.Stat(memory + "/memory.memsw.limit_in_bytes"); err != nil {
		t.Skip("writes files of version 1, which this machine does not have")
	}
	name := fmt.Sprint("meros-fetch-test-", os.Getpid())
	held, err := cgroup.New(cgroup.Config{Slave: "s", Root: name})
	require.NoError(t, err)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 4<<20)) })
	_, err = get(t, fetcher(t, Config{Allow: loopback, Holder: &tight{held, filepath.Join(memory, name)}}), offer.URI{Value: s.URL + "/a"})
	var refusal *offer.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, offer.ReasonContainerLimitationMemory, refusal.Reason)
	require.Contains(t, refusal.Message, "the fetcher: memory limit of 0.1 MiB exceeded: usage ")
	require.NoDirExists(t, filepath.Join(memory, name), "nothing is left")
}

func TestAFetcherIsInACgroupOfItsOwn(t *testing.T) {
	isolationtest.NeedsRoot(t)
	const memory = "/sys/fs/cgroup/memory"
	if _, err := os.Stat(memory + "/memory.limit_in_bytes"); err != nil {
		t.Skip("reads files of version 1, which this machine does not have")
	}
	name := fmt.Sprint("meros-fetch-test-", os.Getpid())
	held, err := cgroup.New(cgroup.Config{Slave: "s", Root: name})
	require.NoError(t, err)
	group := filepath.Join(memory, name, "s.fetch.1")
	limit, procs := make(chan string, 1), make(chan string, 1)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { // while it fetches
		a, _ := os.ReadFile(filepath.Join(group, "memory.limit_in_bytes"))
		b, _ := os.ReadFile(filepath.Join(group, "cgroup.procs"))
		limit <- strings.TrimSpace(string(a))
		procs <- strings.TrimSpace(string(b))
		_, _ = w.Write([]byte("content"))
	})
	dir, err := get(t, fetcher(t, Config{Allow: loopback, Holder: held}), offer.URI{Value: s.URL + "/a"})
	require.NoError(t, err)
	require.Equal(t, "content", content(t, dir, "a"))
	require.Equal(t, strconv.Itoa(256<<20), <-limit)
	pid, err := strconv.Atoi(<-procs)
	require.NoError(t, err)
	require.NotEqual(t, os.Getpid(), pid)
	require.NoDirExists(t, filepath.Join(memory, name))
}
