package main

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/meros-project/meros/slave"
)

func TestMain(m *testing.M) {
	slave.Supervise(nil)
	os.Exit(m.Run())
}

func TestHelloSaysWhatTheReadmeSays(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	require.NoError(t, run(ctx, &out))
	require.Equal(t, "subscribed as f-1\nhello-1 TASK_RUNNING\nhello-1 TASK_FINISHED\nit said: hello, cluster\n", out.String())
}
