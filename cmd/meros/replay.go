package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/recording"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
)

type replayFlags struct {
	at       string
	describe bool
	explain  string
	json     bool
	what     whatIfFlags

	out io.Writer
}

func newReplay() *cobra.Command {
	f := &replayFlags{}
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Go through what a master has recorded, and decide it again",
		Long: `Go through a recording of a master (meros master --record) event by event. The master's state is rebuilt as it was, its decisions
are made again and compared with those recorded; at the first difference, the exit status is 1.

  meros replay DIR                              which recordings there are
  meros replay FILE                             every event and what the master did
  meros replay FILE --at 12:30:00               the same, from that instant on
  meros replay FILE --at +90s --describe        the master's books a minute and a half after the beginning
  meros replay FILE --explain f-3               why f-3 is offered nothing, at the end
  meros replay FILE --drain s-7                 at the end of the recording: what if s-7 were drained?

A recording can be replayed by the build that has written it.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("replay: %d arguments: one is allowed, a recording or a folder of recordings", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f.out = cmd.OutOrStdout()
			return f.run(args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.at, "at", "", "the `time` to begin at: as in 2026-01-31T12:30:00Z, 12:30:00 (UTC, of the recording's day) or +90s; the beginning by default, the end with --describe, --explain or a what-if")
	flags.BoolVar(&f.describe, "describe", false, "print the master's books at that instant, and no decisions")
	flags.StringVar(&f.explain, "explain", "", "say why the framework with this `id` is offered nothing at that instant, or what it will be; no framework by default")
	flags.BoolVar(&f.json, "json", false, "print decisions in full, one JSON object a line")
	f.what.add(flags)
	return cmd
}

// instant reads --at for a recording that begins at a time.
func (f *replayFlags) instant(begins time.Time) (time.Time, error) {
	if rest, ok := strings.CutPrefix(f.at, "+"); ok {
		if d, err := time.ParseDuration(rest); err == nil {
			return begins.Add(d), nil
		}
	}
	if t, err := time.Parse(time.RFC3339Nano, f.at); err == nil {
		return t, nil
	}
	if t, err := time.Parse("15:04:05", f.at); err == nil {
		t = begins.UTC().Truncate(24 * time.Hour).Add(t.Sub(t.Truncate(24 * time.Hour)))
		if t.Before(begins.Truncate(time.Second)) {
			t = t.Add(24 * time.Hour)
		}
		return t, nil
	}
	return time.Time{}, badFlag("at", f.at, "must be a time as in 2026-01-31T12:30:00Z, 12:30:00 or +90s")
}

func (f *replayFlags) run(path string) error {
	if f.at != "" {
		if _, err := f.instant(time.Time{}); err != nil {
			return err
		}
	}
	if _, ok := registry.FrameworkNumber(offer.FrameworkID(f.explain)); f.explain != "" && !ok {
		return badFlag("explain", f.explain, "must be the id of a framework, as in f-3")
	}
	if err := f.what.parse(); err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return f.list(path)
	}
	r, err := recording.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	p, err := recording.NewReplay(r)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	h := r.Header
	fmt.Fprintf(f.out, "master %s, reign %d of cluster %s, file %d, from %s\n", h.Master, h.Reign, h.Cluster, h.File, stamp(h.At))
	if h.Gap != "" {
		fmt.Fprintf(f.out, "%d events before this file are missing: %s\n", h.Missed, h.Gap)
	}
	switch {
	case f.at != "":
		at, _ := f.instant(h.At)
		if err := p.To(at); err != nil && err != io.EOF {
			return f.explained(err)
		}
	case f.describe || f.explain != "" || f.what.any():
		if err := p.To(forever); err != io.EOF {
			return f.explained(err)
		}
	}
	switch {
	case f.describe || f.explain != "":
		return f.show(p)
	case f.what.any():
		return f.what.run(f.out, p)
	}
	return f.decisions(p, r)
}

// show prints what is asked for of the state at the instant.
func (f *replayFlags) show(p *recording.Replay) error {
	fmt.Fprintf(f.out, "after event %d, at %s:\n", p.N, stamp(p.At))
	if f.describe {
		if _, err := io.WriteString(f.out, p.Core.Describe()); err != nil {
			return err
		}
	}
	if f.explain == "" {
		return nil
	}
	why, bad := p.Core.Explain(p.At, offer.FrameworkID(f.explain), "", "")
	if bad != nil {
		return usagef("--explain: %s", bad.Message)
	}
	_, err := io.WriteString(f.out, why.String())
	return err
}

// forever is after any recording.
var forever = time.Unix(1<<40, 0)

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// decisions prints the rest of the recording.
func (f *replayFlags) decisions(p *recording.Replay, r *recording.Reader) error {
	for {
		step, err := p.Step()
		if err == io.EOF {
			break
		}
		if err != nil {
			return f.explained(err)
		}
		f.print(step)
	}
	why, _ := r.Ending()
	_, err := fmt.Fprintf(f.out, "%d events until %s, decided as they were recorded; the recording ends: %s\n", p.N, stamp(p.At), why)
	return err
}

// explained prints what a step that differs has done.
func (f *replayFlags) explained(err error) error {
	var d *recording.Difference
	var failure *recording.Failure
	if errors.As(err, &d) {
		f.print(d.Step)
	} else if errors.As(err, &failure) {
		f.print(failure.Step)
	}
	return err
}

// print shows an event and its effects. Events without effects are shown in JSON only.
func (f *replayFlags) print(s recording.Step) {
	if f.json {
		type line struct {
			Kind string `json:"kind"`
			What any    `json:"what"`
		}
		effects := make([]line, len(s.Effects))
		for i, e := range s.Effects {
			effects[i] = line{kindOf(e), e}
		}
		b, err := json.Marshal(struct {
			N       int       `json:"n"`
			At      time.Time `json:"at"`
			Event   line      `json:"event"`
			Effects []line    `json:"effects"`
		}{s.N, s.At, line{kindOf(s.Event), s.Event}, effects})
		if err != nil {
			b = fmt.Appendf(nil, "%q", err.Error())
		}
		fmt.Fprintf(f.out, "%s\n", b)
		return
	}
	if len(s.Effects) == 0 {
		return
	}
	fmt.Fprintf(f.out, "%s #%d %s\n", stamp(s.At), s.N, shortEvent(s.Event))
	for _, e := range s.Effects {
		fmt.Fprintf(f.out, "    %s\n", shortEffect(e))
	}
}

func kindOf(v any) string {
	t := reflect.TypeOf(v)
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return "nothing"
	}
	return t.Name()
}

func shortEvent(ev mastercore.Event) string {
	switch ev := ev.(type) {
	case mastercore.Received:
		return fmt.Sprintf("c%d %s", ev.Conn, content(ev.Message))
	case mastercore.Disconnected:
		return fmt.Sprintf("c%d disconnected", ev.Conn)
	case mastercore.Called:
		return "operator " + content(&ev.Call)
	}
	return content(ev)
}

func shortEffect(e mastercore.Effect) string {
	switch e := e.(type) {
	case mastercore.Send:
		return fmt.Sprintf("-> c%d %s", e.Conn, content(e.Message))
	case mastercore.Close:
		return fmt.Sprintf("close c%d: %v", e.Conn, e.Refusal)
	case mastercore.Propose:
		words := make([]string, len(e.Commands))
		for i, c := range e.Commands {
			words[i] = content(c.Op)
		}
		return "propose " + strings.Join(words, ", ")
	case mastercore.Note:
		return strings.Join(strings.Fields(strings.Join([]string{"note", e.Event, string(e.Slave), string(e.Framework), string(e.Task), e.Text}, " ")), " ")
	}
	return content(e)
}

// maxContent bounds what is shown of one message.
const maxContent = 300

// content is a value's type and its fields in JSON, cut short.
func content(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		b = []byte(err.Error())
	}
	if len(b) > maxContent {
		b = b[:maxContent]
		for !utf8.Valid(b) {
			b = b[:len(b)-1]
		}
		b = append(b, "…"...)
	}
	return kindOf(v) + " " + string(b)
}

// list prints the recordings of a folder.
func (f *replayFlags) list(dir string) error {
	files, err := recording.Files(dir)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no recordings in %s", dir)
	}
	w := tabwriter.NewWriter(f.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FILE\tREIGN\tFROM\tBYTES\tGAP")
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			continue // removed meanwhile, as old ones are
		}
		r, err := recording.Open(path)
		if err != nil {
			fmt.Fprintf(w, "%s\t-\t-\t%d\t%v\n", filepath.Base(path), info.Size(), oneLine(err))
			continue
		}
		gap := "-"
		if r.Header.Gap != "" {
			gap = r.Header.Gap
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%s\n", filepath.Base(path), r.Header.Reign, stamp(r.Header.At), info.Size(), gap)
		if err := r.Close(); err != nil {
			return err
		}
	}
	return w.Flush()
}
