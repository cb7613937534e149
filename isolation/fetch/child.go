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

	"github.com/meros-project/meros/isolation/process"
)

// roleVariable marks a Child, beside its argv[0]; the value of both is its role.
const roleVariable = "MEROS_ROLE"

// maxMessage bounds what is passed on of a stranger's words, in bytes.
const maxMessage = 1024

// ErrNonsense says that what a Child has said is not what it may say.
var ErrNonsense = errors.New("talks nonsense")

// A Child is a process of the host program in a role of its own that looks at what strangers have made, confined by Confine, and talks with
// the slave in lines of JSON: what it is told comes on its stdin, what it says on its stdout. Its methods are for one goroutine.
type Child struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
	said  tail
	stop  func() bool
	ended string // once it was waited for
}

// StartChild starts a Child, which is killed when ctx ends. maxLine bounds what it may say at a time, in bytes; files are its descriptors from
// 3 on. Who has started it calls End.
func StartChild(ctx context.Context, role string, maxLine int, files ...*os.File) (*Child, error) {
	program, err := self()
	if err != nil {
		return nil, err
	}
	c := &Child{}
	c.cmd = &exec.Cmd{Path: program, Args: []string{role}, Dir: "/", ExtraFiles: files, Stderr: &c.said, SysProcAttr: &syscall.SysProcAttr{Setsid: true},
		Env: []string{roleVariable + "=" + role, "GOMAXPROCS=2", "PATH=" + process.DefaultPath}}
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, c.in.Close())
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	c.stop = context.AfterFunc(ctx, c.Kill)
	c.listen(out, maxLine)
	return c, nil
}

func (c *Child) listen(out io.Reader, maxLine int) {
	c.lines = bufio.NewScanner(out)
	c.lines.Buffer(make([]byte, 0, 4096), maxLine)
}

// Tell says something to the Child. One that is no more does not hear it: the answer will not come.
func (c *Child) Tell(what any) {
	if b, err := json.Marshal(what); err == nil {
		_, _ = c.in.Write(append(b, '\n'))
	}
}

// Hear waits for what the Child says and reads it into answer. The error is io.EOF if it has ended, or has said too much at a time, and
// ErrNonsense.
func (c *Child) Hear(answer any) error {
	switch {
	case !c.lines.Scan():
		return io.EOF
	case json.Unmarshal(c.lines.Bytes(), answer) != nil:
		return ErrNonsense
	}
	return nil
}

// Kill ends the Child without its doing.
func (c *Child) Kill() { _ = c.cmd.Process.Kill() }

// End tells the Child that nothing more will be said to it, which ends it, waits for that, and returns what is known about it. It may be
// called again.
func (c *Child) End() string {
	if c.ended == "" {
		_ = c.in.Close()
		c.ended = Tame(fmt.Sprintf("%v: %s", c.cmd.Wait(), c.said.b.String()))
		c.stop()
	}
	return c.ended
}

// A tail keeps the beginning of what is written to it, and swallows the rest.
type tail struct{ b bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.b.Write(p[:min(len(p), maxMessage-min(t.b.Len(), maxMessage))])
	return len(p), nil
}

// Tame makes a stranger's words fit for a message: in one line of at most 1024 bytes.
func Tame(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxMessage)], "?")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, s))
}

// InRole reports whether this process was started as a Child of that role.
func InRole(role string) bool {
	return len(os.Args) > 0 && os.Args[0] == role && os.Getenv(roleVariable) == role
}

// A Parent is the slave, as its Child talks with it.
type Parent struct{ in *bufio.Reader }

// NewParent returns the Parent of this process, which is a Child.
func NewParent() *Parent { return &Parent{in: bufio.NewReader(os.Stdin)} }

// Say says something to the slave.
func (*Parent) Say(what any) {
	b, _ := json.Marshal(what)
	_, _ = os.Stdout.Write(append(b, '\n')) // without a slave to read it there is nothing left to do
}

// Job reads what the slave says first.
func (p *Parent) Job(job any) error {
	line, err := p.in.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, job)
	}
	if err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	return nil
}

// Listen passes on each line that the slave says from then on, and ends this process with the slave.
func (p *Parent) Listen(lines chan<- []byte) {
	for {
		line, err := p.in.ReadBytes('\n')
		if err != nil {
			os.Exit(3)
		}
		lines <- line
	}
}
