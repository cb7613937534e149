package raft

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// hcLogger makes the library log through slog. Its errors become warnings: nearly all of them say that a peer did not answer.
type hcLogger struct {
	l      *slog.Logger
	name   string
	args   []any
	recent *recent
}

func newHCLogger(l *slog.Logger) hclog.Logger {
	return hcLogger{l: l, name: "raft", recent: &recent{at: map[string]time.Time{}}}
}

// A recent remembers which warnings were given: the library repeats some of them several times a second while a peer is away.
type recent struct {
	mu sync.Mutex
	at map[string]time.Time
}

const (
	quiet     = 30 * time.Second // before the same warning about the same peer is given again
	maxRecent = 256
)

// again notes a warning, and tells whether it was given a moment ago.
func (r *recent) again(msg string, args []any) bool {
	key := msg
	if len(args) > 1 { // the first value names the peer
		key = fmt.Sprint(msg, args[1])
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.at[key]) < quiet {
		return true
	}
	if len(r.at) >= maxRecent {
		clear(r.at)
	}
	r.at[key] = now
	return false
}

func (h hcLogger) Log(level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	switch level {
	case hclog.Info:
		to = slog.LevelInfo
	case hclog.Warn, hclog.Error:
		to = slog.LevelWarn
		if h.recent.again(msg, args) {
			to = slog.LevelDebug
		}
	case hclog.Off:
		return
	}
	if !h.l.Enabled(context.Background(), to) {
		return
	}
	for i, a := range args {
		if f, ok := a.(hclog.Format); ok && len(f) > 0 {
			if format, ok := f[0].(string); ok {
				args[i] = fmt.Sprintf(format, f[1:]...)
			}
		}
	}
	h.l.Log(context.Background(), to, msg, args...)
}

func (h hcLogger) Trace(msg string, args ...any) { h.Log(hclog.Trace, msg, args...) }
func (h hcLogger) Debug(msg string, args ...any) { h.Log(hclog.Debug, msg, args...) }
func (h hcLogger) Info(msg string, args ...any)  { h.Log(hclog.Info, msg, args...) }
func (h hcLogger) Warn(msg string, args ...any)  { h.Log(hclog.Warn, msg, args...) }
func (h hcLogger) Error(msg string, args ...any) { h.Log(hclog.Error, msg, args...) }

func (h hcLogger) IsTrace() bool { return false }
func (h hcLogger) IsDebug() bool { return h.l.Enabled(context.Background(), slog.LevelDebug) }
func (h hcLogger) IsInfo() bool  { return h.l.Enabled(context.Background(), slog.LevelInfo) }
func (h hcLogger) IsWarn() bool  { return h.l.Enabled(context.Background(), slog.LevelWarn) }
func (h hcLogger) IsError() bool { return h.IsWarn() }

func (h hcLogger) ImpliedArgs() []any { return h.args }
func (h hcLogger) Name() string       { return h.name }

func (h hcLogger) With(args ...any) hclog.Logger {
	return hcLogger{l: h.l.With(args...), name: h.name, args: append(h.args[:len(h.args):len(h.args)], args...), recent: h.recent}
}

func (h hcLogger) Named(name string) hclog.Logger      { return h.ResetNamed(h.name + "." + name) }
func (h hcLogger) ResetNamed(name string) hclog.Logger { h.name = name; return h }
func (h hcLogger) SetLevel(hclog.Level)                {}
func (h hcLogger) GetLevel() hclog.Level {
	if h.IsDebug() {
		return hclog.Debug
	}
	return hclog.Info
}

func (h hcLogger) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return slog.NewLogLogger(h.l.Handler(), slog.LevelInfo)
}
func (h hcLogger) StandardWriter(o *hclog.StandardLoggerOptions) io.Writer {
	return h.StandardLogger(o).Writer()
}
