package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/cgroup"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
)

func TestAPullerIsHeldBeforeItIsToldWhatToDo(t *testing.T) {
	ref := "layout:" + layoutOf(t, map[string]*made{"latest": makeImage(nil, archive("a b"))})
	log := &isolationtest.Log{}
	for method, want := range map[string][]string{"": {"prepare", "attach", "cleanup"}, "prepare": {"prepare", "cleanup"}, "attach": {"prepare", "attach", "cleanup"}} {
		held := &isolationtest.Isolator{Log: log, Fail: map[string]error{method: errors.New("no room")}}
		s := newStore(t, func(c *StoreConfig) { c.Holder = held })
		_, err := s.Get(context.Background(), "c", ref)
		for i := range want {
			want[i] = fmt.Sprintf("fake %s pull.%d", want[i], pullers.Load())
		}
		require.Equal(t, want, log.Take())
		clean(t, s)
		if method == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, "hold the puller: no room")
		require.Zero(t, count(t, s, "images")+count(t, s, "layers"), "nothing was looked at by one that is not held")
	}
	_, err := NewStore(StoreConfig{Dir: t.TempDir(), Memory: -1})
	require.EqualError(t, err, "image: config: Memory is -1 (allowed: more than zero)")
}

// A looker holds pullers, with another limit than it is told if it has one, and sees what they are held by.
type looker struct {
	*cgroup.Isolator
	root         string // in the hierarchy of memory
	bytes        string
	limit, procs string
	pid          int
}

func (l *looker) Prepare(ctx context.Context, spec *isolation.Spec, plan *isolation.Plan) error {
	if err := l.Isolator.Prepare(ctx, spec, plan); err != nil || l.bytes == "" {
		return err
	}
	for _, file := range []string{"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"} {
		if err := os.WriteFile(filepath.Join(l.root, "s."+spec.Container, file), []byte(l.bytes), 0); err != nil {
			return err
		}
	}
	return nil
}

func (l *looker) Attach(ctx context.Context, container string, pid int) error {
	err := l.Isolator.Attach(ctx, container, pid)
	limit, _ := os.ReadFile(filepath.Join(l.root, "s."+container, "memory.limit_in_bytes"))
	procs, _ := os.ReadFile(filepath.Join(l.root, "s."+container, "cgroup.procs"))
	l.limit, l.procs, l.pid = strings.TrimSpace(string(limit)), strings.TrimSpace(string(procs)), pid
	return err
}

func newLooker(t *testing.T) *looker {
	isolationtest.NeedsRoot(t)
	const memory = "/sys/fs/cgroup/memory"
	if _, err := os.Stat(memory + "/memory.memsw.limit_in_bytes"); err != nil {
		t.Skip("reads and writes files of version 1, which this machine does not have")
	}
	name := fmt.Sprint("meros-image-test-", os.Getpid())
	held, err := cgroup.New(cgroup.Config{Slave: "s", Root: name})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoDirExists(t, filepath.Join(memory, name), "nothing is left") })
	return &looker{Isolator: held, root: filepath.Join(memory, name)}
}

func TestAPullerIsInACgroupOfItsOwn(t *testing.T) {
	l := newLooker(t)
	s := newStore(t, func(c *StoreConfig) { c.Holder = l })
	_, err := s.Get(context.Background(), "c", "layout:"+layoutOf(t, map[string]*made{"latest": makeImage(nil, archive("a b"))}))
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(512<<20), l.limit)
	require.Equal(t, strconv.Itoa(l.pid), l.procs)
	require.NotEqual(t, os.Getpid(), l.pid)
}

func TestAPullerThatTakesTooMuchMemoryIsKilledAndTheNumbersAreTold(t *testing.T) {
	l := newLooker(t)
	l.bytes = "131072"
	s := newStore(t, func(c *StoreConfig) { c.Holder = l })
	_, err := s.Get(context.Background(), "c", "layout:"+layoutOf(t, map[string]*made{"latest": makeImage(nil, archive("a "+strings.Repeat("x", 4<<20)))}))
	var refusal *offer.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, offer.ReasonContainerLimitationMemory, refusal.Reason)
	require.Contains(t, refusal.Message, "the puller: memory limit of 0.1 MiB exceeded: usage ")
	clean(t, s)
	require.Zero(t, count(t, s, "images"))
}
