package raft

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPeerThatIsAwayFillsNoLog(t *testing.T) {
	var out bytes.Buffer
	l := newHCLogger(slog.New(slog.NewTextHandler(&out, nil)))
	for range 100 {
		l.Error("failed to heartbeat to", "peer", "m-1", "error", "refused")
		l.Error("failed to heartbeat to", "peer", "m-2", "error", "refused")
		l.Info("entering follower state")
	}
	require.Equal(t, 1, strings.Count(out.String(), "peer=m-1"))
	require.Equal(t, 1, strings.Count(out.String(), "peer=m-2"))
	require.Equal(t, 100, strings.Count(out.String(), "entering follower state"))
}
