package zookeeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/go-zookeeper/zk"
)

// pointer is the data of PATH/meros/snapshot.
type pointer struct {
	Index  uint64 `json:"index"` // of the last entry that it covers
	Dir    string `json:"dir"`
	Chunks int    `json:"chunks"`
	Bytes  int64  `json:"bytes"`
	Before string `json:"before"` // the snapshot before it, which somebody may be reading
}

func parsePointer(data []byte) (pointer, error) {
	var p pointer
	if len(data) == 0 {
		return p, nil
	}
	err := json.Unmarshal(data, &p)
	if err == nil && (p.Chunks < 1 || p.Chunks > maxChunks || p.Bytes < 0 || p.Bytes > int64(p.Chunks)*chunkBytes) {
		err = fmt.Errorf("it says that it has %d chunks and %d bytes", p.Chunks, p.Bytes)
	}
	if err != nil {
		return p, fmt.Errorf("%w: the record of the snapshot: %w", ErrDamaged, err)
	}
	return p, nil
}

// catchUp applies everything that the server knows of.
func (e *Elector) catchUp(s *session) error {
	for {
		path := e.entryPath(e.applied + 1)
		data, _, err := s.get(path)
		if err == nil {
			if err := e.applyNode(path, data); err != nil {
				return err
			}
			continue
		}
		if !errors.Is(err, zk.ErrNoNode) {
			return s.explain(path, err)
		}
		if data, _, err = s.get(e.pointerPath()); err != nil {
			return s.explain(e.pointerPath(), err)
		}
		p, err := parsePointer(data)
		if err != nil {
			return err
		}
		if p.Index <= e.applied {
			return nil
		}
		if err := e.restore(s, p); errors.Is(err, zk.ErrNoNode) {
			continue // a later one has taken its place
		} else if err != nil {
			return err
		}
	}
}

func (e *Elector) applyNode(path string, data []byte) error {
	entries, err := unpack(data)
	if err != nil {
		return fmt.Errorf("%w (node %s)", err, path)
	}
	for _, entry := range entries {
		if _, err := e.apply(entry); err != nil {
			return err
		}
	}
	e.sinceBytes += len(data)
	return nil
}

// apply applies the next entry.
func (e *Elector) apply(entry []byte) (any, error) {
	result, err := e.env.StateMachine.Apply(e.applied+1, entry)
	if err != nil {
		return nil, fmt.Errorf("zookeeper: apply entry %d: %w", e.applied+1, err)
	}
	e.applied++
	e.since++
	return result, nil
}

// restore takes over a snapshot.
func (e *Elector) restore(s *session, p pointer) error {
	r := &chunkReader{e: e, s: s, p: p}
	err := e.env.StateMachine.Restore(r)
	if r.err != nil && r.err != io.EOF {
		return r.err
	}
	if err == nil && r.left() {
		_, err = io.Copy(io.Discard, r) // a state machine that stops before the end has it checked all the same
	}
	if err != nil {
		return fmt.Errorf("zookeeper: restore the snapshot of entry %d: %w", p.Index, err)
	}
	e.log.Info("snapshot restored", "index", p.Index, "bytes", p.Bytes)
	e.applied, e.since, e.sinceBytes = p.Index, 0, 0
	return nil
}

// A chunkReader reads a snapshot chunk by chunk.
type chunkReader struct {
	e    *Elector
	s    *session
	p    pointer
	next int
	read int64
	buf  []byte
	err  error
}

func (r *chunkReader) left() bool { return len(r.buf) > 0 || r.next < r.p.Chunks }

func (r *chunkReader) Read(b []byte) (int, error) {
	for len(r.buf) == 0 && r.err == nil {
		r.err = r.fetch()
	}
	if len(r.buf) == 0 {
		return 0, r.err
	}
	n := copy(b, r.buf)
	r.buf = r.buf[n:]
	return n, nil
}

func (r *chunkReader) fetch() error {
	if r.next == r.p.Chunks {
		if r.read != r.p.Bytes {
			return fmt.Errorf("%w: snapshot %s has %d bytes, %d were written", ErrDamaged, r.p.Dir, r.read, r.p.Bytes)
		}
		return io.EOF
	}
	path := r.e.chunkPath(r.p.Dir, r.next)
	data, _, err := r.s.get(path)
	if err != nil {
		return err
	}
	chunk, err := unseal(data)
	if err != nil {
		return fmt.Errorf("%w (node %s)", err, path)
	}
	r.next++
	r.read += int64(len(chunk))
	r.buf = chunk
	return nil
}

// follow applies what the leader writes until this master is first in the queue. It watches the node of the next entry, the record of the
// snapshot and the candidate before it, and no list.
func (e *Elector) follow(ctx context.Context, s *session, own string) error {
	var entry, snapshot, candidate <-chan zk.Event
	var watched string
	for {
		if err := e.catchUp(s); err != nil {
			return err
		}
		if path := e.entryPath(e.applied + 1); entry == nil || watched != path {
			there := false
			err := s.retry(func() (err error) { there, _, entry, err = s.conn.ExistsW(path); return err })
			if err != nil {
				return s.explain(path, err)
			}
			if watched = path; there {
				continue
			}
		}
		if snapshot == nil {
			var data []byte
			err := s.retry(func() (err error) { data, _, snapshot, err = s.conn.GetW(e.pointerPath()); return err })
			if err != nil {
				return s.explain(e.pointerPath(), err)
			}
			if p, err := parsePointer(data); err != nil {
				return err
			} else if p.Index > e.applied {
				continue
			}
		}
		if candidate == nil {
			name, err := e.before(s, own)
			if err != nil || name == "" {
				return err
			}
			there := false
			path := e.candidates() + "/" + name
			err = s.retry(func() (err error) { there, _, candidate, err = s.conn.ExistsW(path); return err })
			if err != nil {
				return s.explain(path, err)
			}
			if !there {
				candidate = nil
				continue
			}
		}
		select {
		case <-entry:
			entry = nil
		case <-snapshot:
			snapshot = nil
		case <-candidate:
			candidate = nil
		case <-s.ended:
			return errSession
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
