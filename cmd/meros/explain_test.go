package main

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAFrameworkThatWaitsIsExplained(t *testing.T) {
	c := startCluster(t, 1, 1)
	first := background(t, c.args("run", "--name", "first", "--cpus", "0.1", "--mem", "32", "--", "sleep", "1000")...)
	eventually(t, "it runs", func() bool { return c.running("first") == 1 })
	framework, slave := c.tasks()[0].FrameworkID, c.tasks()[0].SlaveID

	// It has what it wanted, and wants no more.
	out, errs, code := meros(t, c.args("explain", framework)...)
	require.Zero(t, code, errs)
	require.Contains(t, out, framework+" in *")
	narrow, errs, code := meros(t, c.args("explain", framework, "--role", "*", "--slave", slave)...)
	require.Zero(t, code, errs)
	require.True(t, strings.HasPrefix(narrow, framework+" in *"), narrow)
	other, errs, code := meros(t, c.args("explain", framework, "--role", "web")...)
	require.Zero(t, code, errs)
	require.Equal(t, framework+" in web: is not subscribed to the role: subscribe to role web\n", other)

	text, errs, code := meros(t, c.args("explain", framework, "--role", "web", "--json")...)
	require.Zero(t, code, errs)
	var answer struct {
		Text     string
		Findings []struct{ Cause string }
	}
	require.NoError(t, json.Unmarshal([]byte(text), &answer))
	require.Equal(t, other, answer.Text)
	require.Equal(t, "not-subscribed", answer.Findings[0].Cause)

	for _, wrong := range [][]string{{"f-99"}, {framework, "--slave", "s-99"}} {
		out, errs, code := meros(t, c.args("explain", wrong...)...)
		require.Equal(t, 1, code, errs)
		require.Empty(t, out)
		require.Equal(t, 1, strings.Count(errs, "\n"), errs)
		require.Contains(t, errs, wrong[len(wrong)-1]+`": is not known`)
	}
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGINT))
	require.Equal(t, 130, first.wait())
}
