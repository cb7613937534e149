package offer_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
)

func TestEachFaultOfACheckIsNamed(t *testing.T) {
	tcp := offer.Check{Kind: offer.CheckTCP, Port: 80}
	http := offer.Check{Kind: offer.CheckHTTP, Port: 80, Path: "/health?all=1", Scheme: "https"}
	command := offer.Check{Kind: offer.CheckCommand, Command: &offer.Command{Value: "true", Shell: true}}
	for _, sound := range []offer.Check{tcp, http, command, {Kind: offer.CheckHTTP, Port: 65535, Delay: -1, Interval: offer.MinCheckInterval, Timeout: offer.MaxCheckTimeout}} {
		require.NoError(t, offer.ValidateChecks(&offer.Task{Check: &sound, Health: &offer.HealthCheck{Check: sound, Grace: -1, Failures: 1}}), "%+v", sound)
	}
	for name, tc := range map[string]struct {
		of     offer.Check
		change func(c *offer.Check)
		text   string
	}{
		"no kind":            {tcp, func(c *offer.Check) { c.Kind = 0 }, "kind 0"},
		"no port":            {tcp, func(c *offer.Check) { c.Port = 0 }, "port 0: is not a port (allowed: 1 to 65535)"},
		"path for tcp":       {tcp, func(c *offer.Check) { c.Path = "/" }, "path"},
		"command for tcp":    {tcp, func(c *offer.Check) { c.Command = command.Command }, "command"},
		"relative path":      {http, func(c *offer.Check) { c.Path = "health" }, `path "health": is not absolute`},
		"line break":         {http, func(c *offer.Check) { c.Path = "/\r\nX: y" }, "control character"},
		"long path":          {http, func(c *offer.Check) { c.Path = "/" + strings.Repeat("x", 4096) }, "4097 bytes"},
		"scheme":             {http, func(c *offer.Check) { c.Scheme = "ftp" }, `scheme "ftp"`},
		"no command":         {command, func(c *offer.Check) { c.Command = nil }, "command: is not set"},
		"empty command":      {command, func(c *offer.Check) { c.Command = &offer.Command{} }, "command.value"},
		"port for a command": {command, func(c *offer.Check) { c.Port = 1 }, "port 1"},
		"user":               {command, func(c *offer.Check) { c.Command = &offer.Command{Value: "true", User: "root"} }, "command.user"},
		"uris":               {command, func(c *offer.Check) { c.Command = &offer.Command{Value: "true", URIs: make([]offer.URI, 2)} }, "command.uris: 2"},
		"zero byte":          {command, func(c *offer.Check) { c.Command = &offer.Command{Value: "a\x00"} }, "zero byte"},
		"name of a variable": {command, func(c *offer.Check) {
			c.Command = &offer.Command{Value: "a", Environment: []offer.Variable{{Name: "A=B"}}}
		}, "environment"},
		"long command": {command, func(c *offer.Check) {
			c.Command = &offer.Command{Value: "a", Arguments: []string{strings.Repeat("x", 65536)}}
		}, "allowed: at most 65536"},
		"delay":       {http, func(c *offer.Check) { c.Delay = 25 * time.Hour }, "delay 25h0m0s"},
		"interval":    {http, func(c *offer.Check) { c.Interval = time.Millisecond }, "interval 1ms"},
		"no interval": {http, func(c *offer.Check) { c.Interval = -1 }, "interval"},
		"timeout":     {http, func(c *offer.Check) { c.Timeout = time.Hour }, "timeout 1h0m0s"},
	} {
		c := tc.of
		tc.change(&c)
		require.ErrorContains(t, offer.ValidateChecks(&offer.Task{Check: &c}), tc.text, name)
		require.ErrorContains(t, offer.ValidateChecks(&offer.Task{Check: &c}), "check.", name)
		require.ErrorContains(t, offer.ValidateChecks(&offer.Task{Health: &offer.HealthCheck{Check: c}}), "health.", name)
	}
	require.ErrorContains(t, offer.ValidateChecks(&offer.Task{Health: &offer.HealthCheck{Check: tcp, Grace: 25 * time.Hour}}), "health.grace 25h0m0s")
	require.ErrorContains(t, offer.ValidateChecks(&offer.Task{Health: &offer.HealthCheck{Check: tcp, Failures: -1}}), "health.failures -1")
}

func TestAResultIsGoodOrBadAsItsKindSays(t *testing.T) {
	for _, tc := range []struct {
		r    offer.CheckResult
		good bool
		text string
	}{
		{offer.CheckResult{Kind: offer.CheckCommand}, false, "no result"},
		{offer.CheckResult{Kind: offer.CheckCommand, Known: true}, true, "exit status 0"},
		{offer.CheckResult{Kind: offer.CheckCommand, Known: true, ExitCode: 3}, false, "exit status 3"},
		{offer.CheckResult{Kind: offer.CheckHTTP, Known: true, Status: 199}, false, "HTTP status 199"},
		{offer.CheckResult{Kind: offer.CheckHTTP, Known: true, Status: 200}, true, "HTTP status 200"},
		{offer.CheckResult{Kind: offer.CheckHTTP, Known: true, Status: 399}, true, "HTTP status 399"},
		{offer.CheckResult{Kind: offer.CheckHTTP, Known: true, Status: 400}, false, "HTTP status 400"},
		{offer.CheckResult{Kind: offer.CheckTCP, Known: true}, false, "no connection"},
		{offer.CheckResult{Kind: offer.CheckTCP, Known: true, Succeeded: true}, true, "connected"},
	} {
		require.Equal(t, tc.good, tc.r.Healthy(), tc.text)
		require.Equal(t, tc.text, tc.r.String())
	}
}

func TestWhatACheckDoesNotSayIsAsInMesos(t *testing.T) {
	var h offer.HealthCheck
	require.Equal(t, []time.Duration{15 * time.Second, 10 * time.Second, 20 * time.Second, 10 * time.Second},
		[]time.Duration{h.EffectiveDelay(), h.EffectiveInterval(), h.EffectiveTimeout(), h.EffectiveGrace()})
	require.Equal(t, 3, h.EffectiveFailures())
	h.Delay, h.Grace = -1, -1
	require.Zero(t, h.EffectiveDelay())
	require.Zero(t, h.EffectiveGrace())
}
