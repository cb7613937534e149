package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// stubborn is a container with something in it that does not end at once.
type stubborn struct {
	*isolationtest.Isolator
	left atomic.Int32 // how often Kill fails
}

func (s *stubborn) Kill(context.Context, string) error {
	if s.left.Add(-1) >= 0 {
		return errors.New("process 7 does not end")
	}
	return nil
}

func TestAContainerHasNotEndedBeforeItIsEmpty(t *testing.T) {
	b := newBench(t)
	iso := &stubborn{Isolator: &isolationtest.Isolator{Log: &isolationtest.Log{}}}
	iso.left.Store(1)
	b.openWith(iso)
	b.r.Start(b.spec("a", "exit 3"), false)
	b.started("a")
	ev := b.exited("a")
	require.Equal(t, offer.Exit{Code: 3}, ev.Exit)
	require.Negative(t, iso.left.Load(), "it was asked again until nothing was left")
	require.Contains(t, iso.Log.Take(), "fake cleanup a")
}

func TestALimitationIsToldThatNoSlaveHasSeen(t *testing.T) {
	b := newBench(t)
	fake := &isolationtest.Isolator{}
	b.openWith(fake)
	b.r.Start(b.spec("a", "while [ ! -e stop ]; do sleep 0.01; done"), false)
	b.started("a")
	sandbox := b.r.get("a").spec.Sandbox
	dir := b.r.dir("a")
	require.NoError(t, b.r.Close())
	require.NoError(t, os.WriteFile(filepath.Join(sandbox, "stop"), nil, 0o644))
	eventually(t, "its supervisor has written the end", func() bool {
		var rep report
		return readRecord(dir, exitRecord, &rep) == nil
	})
	limit := isolation.Limitation{Reason: offer.ReasonContainerLimitationMemory, Message: "33 of 32 MiB", Resources: resource.Must("mem:33")}
	fake.Limit("a", limit)
	b.r = New(Config{})
	b.openWith(fake, "a")
	b.r.Adopt("a")
	ev := b.exitedAfterAll("a")
	require.Equal(t, limit.Reason, ev.Reason)
	require.Equal(t, limit.Resources, ev.Limitation)
	require.True(t, ev.Known, "the exit status counts all the same")
}

func TestAContainerThatNeedsWhatNoIsolatorGivesIsRefused(t *testing.T) {
	b := newBench(t)
	spec := b.spec("a", "true")
	spec.Limits = []offer.Limit{{Name: "mem", Amount: offer.NoLimit}}
	b.r.Start(spec, false)
	ev := b.next()
	require.Equal(t, isolation.StartFailed, ev.Kind)
	require.Equal(t, offer.ReasonUnsupported, ev.Reason)
	require.Equal(t, "the container asks for limits above the request, which no isolator of this slave enforces", ev.Message)
}

// sized remembers what it was told about resources.
type sized struct {
	*isolationtest.Isolator
	hold chan struct{} // Prepare waits for it
	told chan string
}

func (s *sized) Prepare(ctx context.Context, spec *isolation.Spec, plan *isolation.Plan) error {
	<-s.hold
	return s.Isolator.Prepare(ctx, spec, plan)
}

func (s *sized) Update(_ context.Context, _ string, resources resource.Resources, limits []offer.Limit) error {
	s.told <- fmt.Sprint(resources, limits)
	return nil
}

func TestResourcesAreToldWhenTheContainerIsPreparedAndTheLastCounts(t *testing.T) {
	b := newBench(t)
	iso := &sized{Isolator: &isolationtest.Isolator{}, hold: make(chan struct{}), told: make(chan string)}
	b.openWith(iso)
	b.r.Start(b.spec("a", "exec sleep 1000"), false)
	b.r.Update("a", resource.Must("cpus:1"), []offer.Limit{{Name: "cpus", Amount: 9000}})
	b.r.Update("a", resource.Must("cpus:2"), []offer.Limit{{Name: "cpus", Amount: 9000}})
	close(iso.hold)
	require.Equal(t, "cpus:2 [{cpus 9}]", <-iso.told, "not before it is prepared, and only the last of what was asked for too early")
	b.started("a")
	b.r.Update("a", resource.Must("cpus:3"), []offer.Limit{{Name: "cpus", Amount: 9000}})
	// While this one is being told, two more come.
	eventually(t, "it is about to be told", func() bool {
		c := b.r.get("a")
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.resizing && c.wanted == nil
	})
	b.r.Update("a", resource.Must("cpus:4"), []offer.Limit{{Name: "cpus", Amount: 9000}})
	b.r.Update("a", resource.Must("cpus:5"), []offer.Limit{{Name: "cpus", Amount: 9000}})
	require.Equal(t, "cpus:3 [{cpus 9}]", <-iso.told)
	require.Equal(t, "cpus:5 [{cpus 9}]", <-iso.told)
	b.r.Update("never-heard-of", resource.Must("cpus:1"), []offer.Limit{{Name: "cpus", Amount: 9000}})
	b.r.Kill("a", true)
	b.exited("a")
}
