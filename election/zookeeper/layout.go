package zookeeper

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/meros-project/meros/election"
)

const (
	format       = 1
	ensembleFile = "zookeeper.json"
	pollOfOther  = 50 * time.Millisecond
)

// owner is the data of PATH/meros.
type owner struct {
	Format  int    `json:"format"`
	Cluster string `json:"cluster"`
	ID      string `json:"id"` // random: another registry under the same path and name has another
}

func (e *Elector) base() string               { return e.address.Path + "/meros" }
func (e *Elector) termPath() string           { return e.base() + "/term" }
func (e *Elector) pointerPath() string        { return e.base() + "/snapshot" }
func (e *Elector) candidates() string         { return e.base() + "/candidates" }
func (e *Elector) entryPath(at uint64) string { return e.base() + "/log/" + entryName(at) }

func entryName(at uint64) string { return fmt.Sprintf("%016d", at) }

// settle sees to it that the path is this cluster's, and makes it so if it is nobody's.
func (e *Elector) settle(s *session) error {
	root := e.address.Path
	data, _, err := s.get(e.base())
	if errors.Is(err, zk.ErrNoNode) {
		if e.known != "" {
			return fmt.Errorf("%w: %s is empty, and this master knows the registry %s that was there; to begin anew, start it with an empty folder", ErrForeign, e.address, e.known)
		}
		if err := e.found(s); err != nil {
			return s.explain(root, err)
		}
		data, _, err = s.get(e.base())
	}
	if err != nil {
		return s.explain(e.base(), err)
	}
	var o owner
	if err := json.Unmarshal(data, &o); err != nil || o.Format < 1 || o.ID == "" {
		return fmt.Errorf("%w: %s holds %.60q", ErrForeign, e.base(), data)
	}
	switch {
	case o.Format != format:
		return fmt.Errorf("%w: %s has format %d, this program knows %d", ErrForeign, e.base(), o.Format, format)
	case o.Cluster != e.cfg.Cluster:
		return fmt.Errorf("%w: %s belongs to the cluster %q, this master to %q", ErrForeign, e.address, o.Cluster, e.cfg.Cluster)
	case e.known != "" && e.known != o.ID:
		return fmt.Errorf("%w: %s holds the registry %s, this master knows %s", ErrForeign, e.address, o.ID, e.known)
	}
	// What only those with the right credentials can read.
	if _, _, err := s.get(e.termPath()); err != nil {
		return s.explain(e.termPath(), err)
	}
	return e.remember(o.ID)
}

// found makes the nodes of a new cluster, all of them or none.
func (e *Elector) found(s *session) error {
	root := e.address.Path
	for i, r := range root + "/" {
		if r != '/' || i == 0 {
			continue
		}
		prefix := root[:i]
		there := false
		err := s.retry(func() (err error) { there, _, err = s.conn.Exists(prefix); return err })
		if err != nil || there {
			if err != nil {
				return err
			}
			continue
		}
		acl := zk.WorldACL(zk.PermAll) // others may have paths beside this one
		if prefix == root {
			acl = s.public()
		}
		err = s.retry(func() error { _, err := s.conn.Create(prefix, nil, 0, acl); return err })
		if err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
	}
	names, err := s.children(root)
	if err != nil {
		return err
	}
	if len(names) > 0 && !slices.Contains(names, "meros") {
		slices.Sort(names)
		return fmt.Errorf("%w: %s is used by something else, it has %s", ErrForeign, e.address, strings.Join(names[:min(3, len(names))], ", "))
	}
	var id [8]byte
	_, _ = rand.Read(id[:])
	data, err := json.Marshal(owner{Format: format, Cluster: e.cfg.Cluster, ID: hex.EncodeToString(id[:])})
	if err != nil {
		return err
	}
	ops := []any{&zk.CreateRequest{Path: e.base(), Data: data, Acl: s.private()}}
	for _, name := range []string{"candidates", "masters", "term", "log", "snapshots", "snapshot"} {
		ops = append(ops, &zk.CreateRequest{Path: e.base() + "/" + name, Acl: s.private()})
	}
	if err = s.retry(func() error { return s.multi(ops...) }); errors.Is(err, zk.ErrNodeExists) {
		return nil // another master was first, or an earlier try of this one
	}
	return err
}

// recall reads which registry this master belongs to.
func (e *Elector) recall() error {
	if e.folder == nil {
		return nil
	}
	path := filepath.Join(e.folder.Dir, ensembleFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var o owner
	if err == nil {
		err = json.Unmarshal(b, &o)
	}
	if err != nil {
		return fmt.Errorf("zookeeper: read %s: %w", path, err)
	}
	e.known = o.ID
	return nil
}

func (e *Elector) remember(id string) error {
	if e.folder == nil || e.known == id {
		e.known = id
		return nil
	}
	b, err := json.Marshal(owner{Format: format, Cluster: e.cfg.Cluster, ID: id})
	if err != nil {
		return err
	}
	if err := election.WriteFileDurably(filepath.Join(e.folder.Dir, ensembleFile), append(b, '\n')); err != nil {
		return err
	}
	e.known = id
	return nil
}

// claim is the data of a master's own nodes.
type claim struct {
	Address   string `json:"address"`
	Life      string `json:"life"`       // random: of one Elector
	TimeoutMS int64  `json:"timeout_ms"` // of its session
}

func (e *Elector) claim(s *session) ([]byte, error) {
	return json.Marshal(claim{Address: e.self.Address, Life: e.life, TimeoutMS: s.timeout().Milliseconds()})
}

// register takes this master's id for its session. An earlier life of this master may hold it until its session has expired; one that
// holds it for longer is another master.
func (e *Elector) register(ctx context.Context, s *session) error {
	path := e.base() + "/masters/" + e.self.ID
	data, err := e.claim(s)
	if err != nil {
		return err
	}
	var since time.Time
	var first int64
	for {
		err := s.retry(func() error { _, err := s.conn.Create(path, data, zk.FlagEphemeral, s.private()); return err })
		if !errors.Is(err, zk.ErrNodeExists) {
			return s.explain(path, err)
		}
		held, stat, err := s.get(path)
		if errors.Is(err, zk.ErrNoNode) {
			continue
		}
		if err != nil {
			return s.explain(path, err)
		}
		var other claim
		_ = json.Unmarshal(held, &other)
		switch {
		case stat.EphemeralOwner == s.conn.SessionID():
			return nil
		case other.Life == e.life: // of a session of this Elector, which it has left
			if err := s.remove(path); err != nil {
				return s.explain(path, err)
			}
			continue
		case first != stat.Czxid:
			first, since = stat.Czxid, time.Now()
			s.log.Info("this master's id is taken; an earlier life of it?", "id", e.self.ID, "by", other.Address)
		case time.Since(since) > 2*time.Duration(other.TimeoutMS)*time.Millisecond+time.Second:
			return fmt.Errorf("%w: %s, at %s; this one is at %s", ErrDuplicateID, e.self.ID, other.Address, e.self.Address)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ended:
			return errSession
		case <-time.After(pollOfOther):
		}
	}
}

// queue takes this master's place in the queue of those that will lead, and returns its node's name.
func (e *Elector) queue(s *session) (string, error) {
	data, err := e.claim(s)
	if err != nil {
		return "", err
	}
	for {
		path, err := s.conn.Create(e.candidates()+"/c-", data, zk.FlagEphemeral|zk.FlagSequence, s.private())
		if err == nil {
			return path[strings.LastIndexByte(path, '/')+1:], nil
		}
		if !transient(err) {
			return "", s.explain(e.candidates(), err)
		}
		// The node may be there. A second one of the same session would stand in the way of the first for ever.
		own, err := e.ownCandidates(s)
		if err != nil {
			return "", s.explain(e.candidates(), err)
		}
		if len(own) > 0 {
			return own[0], nil
		}
		select {
		case <-s.ended:
			return "", errSession
		case <-time.After(retryPause):
		}
	}
}

func (e *Elector) ownCandidates(s *session) ([]string, error) {
	names, err := s.children(e.candidates())
	if err != nil {
		return nil, err
	}
	var own []string
	for _, name := range numbered(names, "c-") {
		is, err := s.owned(e.candidates() + "/" + name)
		if err != nil {
			return nil, err
		}
		if is {
			own = append(own, name)
		}
	}
	return own, nil
}

// before tells who is just before this master in the queue: "" if it is first. A master that is not in the queue is told so.
func (e *Elector) before(s *session, own string) (string, error) {
	names, err := s.children(e.candidates())
	if err != nil {
		return "", s.explain(e.candidates(), err)
	}
	list := numbered(names, "c-")
	switch at := slices.Index(list, own); at {
	case -1:
		return "", errNotQueued
	case 0:
		return "", nil
	default:
		return list[at-1], nil
	}
}

var errNotQueued = errors.New("zookeeper: this master's candidate node is gone")

// withdraw removes what an earlier reign of this session has left.
func (e *Elector) withdraw(s *session) error {
	names, err := s.children(e.address.Path)
	if err != nil {
		return s.explain(e.address.Path, err)
	}
	for _, name := range numbered(names, infoLabel) {
		path := e.address.Path + "/" + name
		own, err := s.owned(path)
		if err == nil && own {
			err = s.remove(path)
		}
		if err != nil {
			return s.explain(path, err)
		}
	}
	return nil
}
