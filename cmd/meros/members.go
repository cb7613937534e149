package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/election/discovery"
	"github.com/meros-project/meros/election/raft"
)

// memberRow is one node.
type memberRow struct {
	ID       string            `json:"id"`
	Address  string            `json:"address"`
	Hostname string            `json:"hostname,omitempty"`
	Role     string            `json:"role"`
	State    string            `json:"state,omitempty"`
	Version  string            `json:"version,omitempty"`
	Voter    bool              `json:"voter,omitempty"`
	Leader   bool              `json:"leader"`
	Tags     map[string]string `json:"tags,omitempty"`
}

type membersFlags struct {
	master    masterFlags
	gossip    gossipFlags
	json      bool
	add       string
	nonVoter  bool
	id        string
	remove    string
	transfer  string
	token     bool
	tokenLife time.Duration
}

func newMembers() *cobra.Command {
	f := &membersFlags{}
	cmd := &cobra.Command{
		Use:   "members",
		Short: "List masters and slaves; add, remove and choose masters",
		Long: `List the masters and slaves of a cluster, as its leader knows them, or with --join everyone who takes part in the gossip,
programs that are not part of the cluster too.

Masters are added and removed while the cluster runs, one at a time. A new one joins with a token, which can be used once:
  meros members --token
  meros master --new-member --token TOKEN --listen HOST:PORT --work-dir EMPTY   (there)
or it is started without one, and added from here:
  meros master --new-member --listen HOST:PORT --work-dir EMPTY                 (there)
  meros members --add HOST:PORT
To replace a master, let the new one join first; if it has the address of the old one, which is dead, remove that first:
  meros members --remove HOST:PORT
Before the leader's host is serviced, another can be made to lead:
  meros members --transfer HOST:PORT`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.master.add(cmd)
	f.gossip.add(cmd)
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	cmd.Flags().StringVar(&f.add, "add", "", "make the master at `HOST:PORT`, which was started with --new-member, a voter; by default nothing is changed")
	cmd.Flags().StringVar(&f.id, "id", "", "with --add: the `id` of that master; derived from its address by default")
	cmd.Flags().StringVar(&f.remove, "remove", "", "remove the master with this `id`, or at this HOST:PORT; by default nothing is changed")
	cmd.Flags().BoolVar(&f.nonVoter, "non-voter", false, "with --add: that master follows the others without a vote, and may be added with one later")
	cmd.Flags().StringVar(&f.transfer, "transfer", "", "make the master with this `id`, or at this HOST:PORT, the leader; by default nothing is changed")
	cmd.Flags().BoolVar(&f.token, "token", false, "print a token that lets one new master join, see meros master --token")
	cmd.Flags().DurationVar(&f.tokenLife, "token-life", tokenLife, "with --token: how long it can be used")
	return cmd
}

func (f *membersFlags) run(cmd *cobra.Command) error {
	var wanted []string
	for name, set := range map[string]bool{"add": f.add != "", "remove": f.remove != "", "transfer": f.transfer != "", "token": f.token} {
		if set {
			wanted = append(wanted, "--"+name)
		}
	}
	slices.Sort(wanted)
	switch {
	case len(wanted) > 1:
		return usagef("%s: one change at a time", strings.Join(wanted, " and "))
	case f.nonVoter && f.add == "":
		return badFlag("non-voter", "true", "needs --add")
	case cmd.Flags().Changed("token-life") && !f.token:
		return badFlag("token-life", f.tokenLife.String(), "needs --token")
	case f.tokenLife < time.Second || f.tokenLife > 7*24*time.Hour:
		return badFlag("token-life", f.tokenLife.String(), "must be from 1s to 168h")
	case f.token:
		text, err := f.makeToken(cmd.Context())
		if err == nil {
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
		}
		return err
	case f.id != "" && f.add == "":
		return badFlag("id", f.id, "needs --add")
	case f.add != "":
		if err := checkAddress("add", f.add); err != nil {
			return err
		}
		if f.id == "" {
			f.id = raft.DeriveID(f.add)
		}
		return f.master.ask(cmd.Context(), "POST", "/members", map[string]any{"id": f.id, "address": f.add, "non_voter": f.nonVoter}, nil)
	case f.transfer != "":
		id, err := f.idOf(cmd.Context(), f.transfer)
		if err != nil {
			return err
		}
		return f.master.ask(cmd.Context(), "POST", "/members/"+url.PathEscape(id)+"/lead", nil, nil)
	case f.remove != "":
		id, err := f.idOf(cmd.Context(), f.remove)
		if err != nil {
			return err
		}
		return f.master.ask(cmd.Context(), "DELETE", "/members/"+url.PathEscape(id), nil, nil)
	}
	rows, err := f.list(cmd.Context())
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), rows)
	}
	table := make([][]string, len(rows))
	for i, m := range rows {
		state := m.State
		if m.Leader && !strings.HasPrefix(state, "leader") { // of the gossip
			state += ", leader"
		}
		table[i] = []string{m.ID, m.Address, m.Role, state, m.Version}
	}
	return printTable(cmd.OutOrStdout(), "ID\tADDRESS\tROLE\tSTATE\tVERSION", table)
}

// idOf finds the id of a master that is named by its address.
func (f *membersFlags) idOf(ctx context.Context, name string) (string, error) {
	if !strings.Contains(name, ":") {
		return name, nil
	}
	rows, err := f.masters(ctx)
	if err != nil {
		return "", err
	}
	for _, m := range rows {
		if m.Address == name || m.ID == name {
			return m.ID, nil
		}
	}
	return "", fmt.Errorf("no master has the address %s; see meros members", name)
}

func (f *membersFlags) list(ctx context.Context) ([]memberRow, error) {
	if f.gossip.enabled() {
		return f.listGossip(ctx)
	}
	rows, err := f.masters(ctx)
	if err != nil {
		return nil, err
	}
	f.versions(ctx, rows)
	var slaves struct {
		Slaves []struct {
			ID          string `json:"id"`
			Hostname    string `json:"hostname"`
			Address     string `json:"pid"` // in Mesos' words
			State       string `json:"state"`
			Version     string `json:"version"`
			Deactivated bool   `json:"deactivated"`
			Draining    bool   `json:"draining"`
		} `json:"slaves"`
	}
	if err := f.master.ask(ctx, "GET", "/slaves", nil, &slaves); err != nil {
		return nil, err
	}
	for _, s := range slaves.Slaves {
		row := memberRow{ID: s.ID, Address: s.Address, Hostname: s.Hostname, Role: "slave", State: s.State, Version: s.Version}
		switch {
		case s.Draining:
			row.State += ", draining"
		case s.Deactivated:
			row.State += ", deactivated"
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// masters asks for the masters, in the words of one that knows who leads, if there is one: a master that was removed knows only what was.
func (f *membersFlags) masters(ctx context.Context) ([]memberRow, error) {
	type members struct {
		Members []memberRow `json:"members"`
	}
	var answer members
	master, err := f.master.known(ctx)
	if err != nil {
		return nil, err
	}
	if err := master.ask(ctx, "GET", "/members", nil, &answer); err != nil {
		return nil, err
	}
	rows := answer.Members
	led := func() bool { return slices.ContainsFunc(answer.Members, func(m memberRow) bool { return m.Leader }) }
	for _, address := range master.addresses {
		if led() {
			rows = answer.Members
			break
		}
		answer = members{}
		other := *master
		other.addresses = []string{address}
		_ = other.ask(ctx, "GET", "/members", nil, &answer) // those that do not answer know no better
	}
	if led() {
		rows = answer.Members
	}
	for i := range rows {
		rows[i].Role = "master"
		switch {
		case rows[i].Leader:
			rows[i].State = "leader"
		case rows[i].Voter:
			rows[i].State = "voter"
		default:
			rows[i].State = "no vote"
		}
	}
	return rows, nil
}

const versionTimeout = 2 * time.Second

// versions asks each master for its own version. One that does not answer has none, and its state says so.
func (f *membersFlags) versions(ctx context.Context, rows []memberRow) {
	client, err := f.master.http()
	if err != nil {
		return
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	var all sync.WaitGroup
	for i := range rows {
		all.Go(func() {
			answer, err := f.master.one(ctx, client, "GET", rows[i].Address, "/version", nil)
			var said struct{ Version string }
			switch {
			case err == nil && json.Unmarshal(answer, &said) == nil:
				rows[i].Version = said.Version
			case !errors.As(err, new(*refused)):
				rows[i].State += ", does not answer"
			}
		})
	}
	all.Wait()
}

// joinTimeout is how long it is tried to join the gossip before it is given up.
const joinTimeout = 5 * time.Second

// listGossip joins as a plain member, looks around and leaves.
func (f *membersFlags) listGossip(ctx context.Context) ([]memberRow, error) {
	if len(f.gossip.join) == 0 {
		return nil, badFlag("join", "", "is required to list the gossip's members")
	}
	if f.gossip.bind == "" {
		f.gossip.bind = "127.0.0.1:0"
	}
	cfg, err := f.gossip.config(slog.New(slog.DiscardHandler), f.master.tls.insecure)
	if err != nil {
		return nil, err
	}
	cfg.Tags = map[string]string{discovery.TagRole: "observer"}
	node, err := discovery.New(cfg)
	if err != nil {
		return nil, &usageError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	defer func() {
		cancel()
		<-ended
	}()
	select {
	case <-node.Joined():
	case err := <-ended:
		ended <- nil
		if err == nil {
			err = fmt.Errorf("nobody answers at %s: is it running, with the same --cluster and --gossip-key?", strings.Join(f.gossip.join, ", "))
		}
		return nil, err
	}
	rows := []memberRow{}
	for _, m := range node.Members() {
		if m.Name == node.Name() {
			continue
		}
		role, address := m.Tags[discovery.TagRole], m.Tags[discovery.TagAddress]
		if address == "" {
			address = m.Address
		}
		rows = append(rows, memberRow{ID: m.Name, Address: address, Role: role, State: fmt.Sprint(m.State),
			Version: m.Tags[discovery.TagVersion], Leader: m.Tags[discovery.TagLeader] != "", Tags: m.Tags})
	}
	slices.SortFunc(rows, func(a, b memberRow) int { return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.ID, b.ID)) })
	return rows, nil
}
