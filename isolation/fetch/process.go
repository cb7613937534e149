package fetch

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/meros-project/meros/isolation/process"
)

const (
	maxReply   = 64 << 10 // bytes of a line that a fetcher says
	maxMessage = 1024     // of an error that is passed on
	// lateness is how long a fetcher may take to say that its time is up.
	lateness = 10 * time.Second
)

// work starts a fetcher and waits for its end; when ctx ends, it kills it. files are its descriptors from 3 on. room answers what it asks
// for.
func work(ctx context.Context, j *job, files []*os.File, room func(total int64) bool) error {
	program, err := self()
	if err != nil {
		return err
	}
	slave := ctx
	ctx, cancel := context.WithTimeout(ctx, j.Timeout+lateness)
	defer cancel()
	said := &tail{}
	cmd := &exec.Cmd{Path: program, Args: []string{roleName}, Dir: "/", ExtraFiles: files, Stderr: said,
		Env:         []string{roleVariable + "=" + roleName, "GOMAXPROCS=2", "PATH=" + process.DefaultPath},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return errors.Join(err, in.Close())
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the fetcher: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	last, denied := converse(j, in, out, room)
	if last != (reply{}) {
		_ = cmd.Process.Kill() // it has said its last word; else the end of its stdin is its own
	}
	ended := cmd.Wait()
	stop()
	switch {
	case slave.Err() != nil && !last.Done:
		return slave.Err()
	case ctx.Err() != nil && !last.Done:
		return fmt.Errorf("not done in %v, the most that is allowed for one task", j.Timeout)
	case denied:
		return errNoRoom
	case last.Error != "":
		return errors.New(tame(last.Error))
	case !last.Done:
		return fmt.Errorf("the fetcher ended without a word (%v): %s", ended, tame(said.String()))
	}
	return nil
}

// converse hands the job over and answers until the fetcher has said its last word.
func converse(j *job, in io.WriteCloser, out io.Reader, room func(int64) bool) (last reply, denied bool) {
	defer in.Close()
	b, err := json.Marshal(j)
	if err != nil {
		return reply{Error: err.Error()}, false
	}
	if _, err := in.Write(append(b, '\n')); err != nil {
		return reply{}, false
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(make([]byte, 0, 4096), maxReply)
	for lines.Scan() {
		var r reply
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			return reply{Error: "the fetcher talks nonsense"}, denied
		}
		if r.Room == 0 {
			return r, denied
		}
		answer := no
		if r.Room > 0 && room != nil && room(r.Room) {
			answer = yes
		} else {
			denied = true
		}
		if _, err := io.WriteString(in, answer+"\n"); err != nil {
			return reply{}, denied
		}
	}
	return reply{}, denied
}

// A tail keeps the beginning of what is written to it, and swallows the rest.
type tail struct{ b bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.b.Write(p[:min(len(p), maxMessage-min(t.b.Len(), maxMessage))])
	return len(p), nil
}

func (t *tail) String() string { return t.b.String() }

// tame makes a stranger's words fit for a message.
func tame(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxMessage)], "?")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, s))
}
