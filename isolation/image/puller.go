package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/meros-project/meros/isolation/fetch"
)

// A puller is the slave's side of the process that looks at what strangers have made. Its folder is removed by who has made it.
type puller struct {
	*fetch.Child
	ctx  context.Context
	dir  string
	hold *fetch.Hold
}

// pullers counts those that were ever started by this process, so that each is held by itself.
var pullers atomic.Int64

// start starts a puller, which ends with ctx. The caller closes it.
func (c StoreConfig) start(ctx context.Context, dir, reference string) (*puller, error) {
	hold, err := fetch.NewHold(ctx, c.Holder, "puller", fmt.Sprint("pull.", pullers.Add(1)), c.Memory)
	if err != nil {
		return nil, err
	}
	child, err := fetch.StartChild(ctx, roleName, maxLine)
	if err != nil {
		hold.Release()
		return nil, err
	}
	p := &puller{Child: child, ctx: ctx, dir: dir, hold: hold}
	if err := hold.Attach(ctx, child); err != nil {
		p.close()
		return nil, err
	}
	child.Tell(job{Config: c, Reference: reference, Dir: dir})
	return p, nil
}

// hear waits for an answer.
func (p *puller) hear() (answer, error) {
	var a answer
	err := p.Hear(&a)
	switch {
	case p.ctx.Err() != nil:
		return a, p.ctx.Err()
	case errors.Is(err, io.EOF):
		ended := p.End()
		if err := p.hold.Broken(); err != nil {
			return a, err
		}
		return a, fmt.Errorf("the puller ended without a word: %s", ended)
	case err != nil:
		return a, errNonsense
	case a.Error != "":
		return a, errors.New(fetch.Tame(a.Error))
	}
	return a, nil
}

var errNonsense = fmt.Errorf("the puller %w", fetch.ErrNonsense)

// image waits for what the job's image is made of.
func (p *puller) image() (*stored, error) {
	a, err := p.hear()
	if err != nil {
		return nil, err
	}
	if a.Image == nil {
		return nil, errNonsense
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
	p.Tell(order{Layer: n, Most: most})
	a, err := p.hear()
	if err == nil && a.Layer == nil {
		err = errNonsense
	}
	return a.Layer, err
}

// close ends the puller, and returns when it has ended.
func (p *puller) close() {
	p.Kill()
	p.End()
	p.hold.Release()
}
