package image

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"

	"github.com/meros-project/meros/isolation/process"
)

// maxMessage bounds an error that a puller passes on, in bytes.
const maxMessage = 1024

// A puller is the slave's side of the process that looks at what strangers have made. Its folder is removed by who has made it.
type puller struct {
	ctx   context.Context
	dir   string
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
	said  tail
	stop  func() bool
}

// start starts a puller, which ends with ctx. The caller closes it.
func (c StoreConfig) start(ctx context.Context, dir, reference string) (*puller, error) {
	program, err := self()
	if err != nil {
		return nil, err
	}
	p := &puller{ctx: ctx, dir: dir}
	p.cmd = &exec.Cmd{Path: program, Args: []string{roleName}, Dir: "/", Stderr: &p.said, SysProcAttr: &syscall.SysProcAttr{Setsid: true},
		Env: []string{roleVariable + "=" + roleName, "GOMAXPROCS=2", "PATH=" + process.DefaultPath}}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, p.in.Close())
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the puller: %w", err)
	}
	p.stop = context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })
	p.lines = bufio.NewScanner(out)
	p.lines.Buffer(make([]byte, 0, 4096), maxLine)
	p.tell(job{Config: c, Reference: reference, Dir: dir})
	return p, nil
}

// tell says something to the puller; if it is no more, its answer will not come.
func (p *puller) tell(what any) {
	b, err := json.Marshal(what)
	if err == nil {
		_, _ = p.in.Write(append(b, '\n'))
	}
}

// hear waits for an answer.
func (p *puller) hear() (answer, error) {
	var a answer
	heard := p.lines.Scan()
	switch {
	case p.ctx.Err() != nil:
		return a, p.ctx.Err()
	case !heard:
		return a, fmt.Errorf("the puller ended without a word: %s", p.end())
	case json.Unmarshal(p.lines.Bytes(), &a) != nil:
		return a, errors.New("the puller talks nonsense")
	case a.Error != "":
		return a, errors.New(tame(a.Error))
	}
	return a, nil
}

// end waits for the end of a puller that says nothing more, and tells what is known about it.
func (p *puller) end() string {
	_ = p.cmd.Process.Kill()
	err := p.cmd.Wait()
	return tame(fmt.Sprintf("%v: %s", err, p.said.String()))
}

// image waits for what the job's image is made of.
func (p *puller) image() (*stored, error) {
	a, err := p.hear()
	if err != nil {
		return nil, err
	}
	if a.Image == nil {
		return nil, errors.New("the puller talks nonsense")
	}
	for _, digest := range append([]string{a.Image.Digest}, a.Image.Layers...) {
		if _, err := hexOf(digest); err != nil {
			return nil, err
		}
	}
	return a.Image, nil
}

// layer has a layer unpacked in the puller's folder.
func (p *puller) layer(n int, most int64) (*layerInfo, error) {
	p.tell(order{Layer: n, Most: most})
	a, err := p.hear()
	if err == nil && a.Layer == nil {
		err = errors.New("the puller talks nonsense")
	}
	return a.Layer, err
}

// close ends the puller, and returns when it has ended.
func (p *puller) close() {
	_ = p.cmd.Process.Kill()
	_ = p.in.Close()
	_ = p.cmd.Wait()
	p.stop()
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
