package zookeeper

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/meros-project/meros/election"
)

var _ election.Membership = (*Elector)(nil)

// ErrByThemselves is returned by Add and Remove: a master takes part for as long as it runs.
var ErrByThemselves = errors.New("zookeeper: masters come and go by themselves: start the one that is to come, stop the one that is to go")

// Add implements election.Membership. It returns ErrByThemselves.
func (e *Elector) Add(context.Context, election.Peer) error { return ErrByThemselves }

// Remove implements election.Membership. It returns ErrByThemselves.
func (e *Elector) Remove(context.Context, string) error { return ErrByThemselves }

// Members implements election.Membership: the masters that run, or whose sessions have not expired, as far as this one knows.
func (e *Elector) Members(context.Context) ([]election.Member, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := slices.Clone(e.members)
	for i := range list {
		list[i].Leader = list[i].Peer == e.leader
	}
	return list, nil
}

// watchMembers follows who runs for as long as the session lasts.
func (e *Elector) watchMembers(s *session) {
	for {
		list, changed, err := e.readMembers(s)
		if err == nil {
			e.mu.Lock()
			e.members = list
			e.mu.Unlock()
		} else if !errors.Is(err, errSession) {
			e.log.Warn("the masters cannot be listed", "err", err)
		}
		var again <-chan time.Time
		if err != nil {
			again = time.After(time.Second)
		}
		select {
		case <-s.ended:
			return
		case <-changed:
		case <-again:
		}
	}
}

func (e *Elector) readMembers(s *session) (list []election.Member, changed <-chan zk.Event, err error) {
	folder := e.base() + "/masters"
	var names []string
	err = s.retry(func() (err error) { names, _, changed, err = s.conn.ChildrenW(folder); return err })
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		data, _, err := s.get(folder + "/" + name)
		if errors.Is(err, zk.ErrNoNode) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		var c claim
		if json.Unmarshal(data, &c) == nil {
			list = append(list, election.Member{Peer: election.Peer{ID: name, Address: c.Address}, Voter: true})
		}
	}
	slices.SortFunc(list, func(a, b election.Member) int {
		return cmp.Or(strings.Compare(a.Address, b.Address), strings.Compare(a.ID, b.ID))
	})
	return list, changed, nil
}
