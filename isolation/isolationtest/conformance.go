package isolationtest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// Spec returns the Spec of a container that runs a shell line in a sandbox of the test's own.
func Spec(t testing.TB, container, line string) *isolation.Spec {
	dir := filepath.Join(t.TempDir(), "sandbox")
	require.NoError(t, os.Mkdir(dir, 0o700))
	return &isolation.Spec{Container: container, Framework: "f", Role: "*", Task: offer.TaskID("t-" + container), Sandbox: dir,
		Command: &offer.Command{Value: line, Shell: true}, Resources: resource.Must("cpus:0.1;mem:32")}
}

// TestIsolator shows that the isolators that make returns keep the contract. process starts something harmless to attach and returns its
// number; nil means the test's own process is not to be touched, and Attach is left out.
func TestIsolator(t *testing.T, make func(t *testing.T) isolation.Isolator, process func(t *testing.T) int) {
	ctx := context.Background()
	t.Run("it has a name of its own that stays", func(t *testing.T) {
		a, b := make(t), make(t)
		require.NotEmpty(t, a.Name())
		require.Equal(t, a.Name(), b.Name())
	})
	t.Run("a life from preparation to clean-up leaves the spec as it was and the plan fit to be written down", func(t *testing.T) {
		iso, spec, plan := make(t), Spec(t, "c-1", "true"), &isolation.Plan{}
		before, err := json.Marshal(spec)
		require.NoError(t, err)
		require.NoError(t, iso.Prepare(ctx, spec, plan))
		after, err := json.Marshal(spec)
		require.NoError(t, err)
		require.JSONEq(t, string(before), string(after))
		_, err = json.Marshal(plan)
		require.NoError(t, err)
		if process != nil {
			pid := process(t)
			require.NoError(t, iso.Attach(ctx, spec.Container, pid))
			require.NoError(t, iso.Attach(ctx, spec.Container, pid), "once more, by a slave that was restarted")
		}
		require.NoError(t, iso.Cleanup(ctx, spec.Container))
		require.NoError(t, iso.Cleanup(ctx, spec.Container), "once more")
	})
	t.Run("cleaning up what is not known is no error", func(t *testing.T) {
		require.NoError(t, make(t).Cleanup(ctx, "never-heard-of"))
	})
	t.Run("a container's id can be used again by nobody else meanwhile", func(t *testing.T) {
		iso := make(t)
		for i := range 3 {
			spec := Spec(t, fmt.Sprint("c-", i), "true")
			require.NoError(t, iso.Prepare(ctx, spec, &isolation.Plan{}))
		}
		for i := range 3 {
			require.NoError(t, iso.Cleanup(ctx, fmt.Sprint("c-", i)))
		}
	})
	t.Run("different containers at once", func(t *testing.T) {
		iso := make(t)
		var wg sync.WaitGroup
		errs := [20]error{}
		for i := range errs {
			spec := Spec(t, fmt.Sprint("c-", i), "true")
			wg.Go(func() {
				if errs[i] = iso.Prepare(ctx, spec, &isolation.Plan{}); errs[i] == nil {
					errs[i] = iso.Cleanup(ctx, spec.Container)
				}
			})
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
	})
	t.Run("recovery without anything to recover", func(t *testing.T) {
		if r, ok := make(t).(isolation.Recoverer); ok {
			require.NoError(t, r.Recover(ctx, nil))
		}
	})
	t.Run("a sure kill of what is not known, or of nothing, is no error", func(t *testing.T) {
		iso := make(t)
		k, ok := iso.(isolation.Killer)
		if !ok {
			return
		}
		require.NoError(t, k.Kill(ctx, "never-heard-of"))
		spec := Spec(t, "c-1", "true")
		require.NoError(t, iso.Prepare(ctx, spec, &isolation.Plan{}))
		require.NoError(t, k.Kill(ctx, spec.Container))
		require.NoError(t, k.Kill(ctx, spec.Container), "once more")
		require.NoError(t, iso.Cleanup(ctx, spec.Container))
		require.NoError(t, k.Kill(ctx, spec.Container), "after the clean-up")
	})
	t.Run("a watch ends with its context", func(t *testing.T) {
		iso := make(t)
		w, ok := iso.(isolation.Watcher)
		if !ok {
			return
		}
		spec := Spec(t, "c-1", "true")
		require.NoError(t, iso.Prepare(ctx, spec, &isolation.Plan{}))
		watched, cancel := context.WithCancel(ctx)
		cancel()
		_, err := w.Watch(watched, spec.Container)
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, iso.Cleanup(ctx, spec.Container))
	})
}
