package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/election/discovery"
	"github.com/meros-project/meros/election/raft"
)

// memberRow is one node.
type memberRow struct {
	ID      string            `json:"id"`
	Address string            `json:"address"`
	Role    string            `json:"role"`
	State   string            `json:"state,omitempty"`
	Voter   bool              `json:"voter,omitempty"`
	Leader  bool              `json:"leader"`
	Tags    map[string]string `json:"tags,omitempty"`
}

type membersFlags struct {
	master masterFlags
	gossip gossipFlags
	json   bool
	add    string
	id     string
	remove string
}

func newMembers() *cobra.Command {
	f := &membersFlags{}
	cmd := &cobra.Command{
		Use:   "members",
		Short: "List masters and slaves; add and remove masters",
		Long: `List the masters and slaves of a cluster, as its leader knows them, or with --join everyone who takes part in the gossip,
programs that are not part of the cluster too.

Masters are added and removed while the cluster runs, one at a time. To replace one, add the new one first.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.master.add(cmd)
	f.gossip.add(cmd)
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	cmd.Flags().StringVar(&f.add, "add", "", "make the master at `HOST:PORT`, which was started with --new-member, a voter")
	cmd.Flags().StringVar(&f.id, "id", "", "with --add: the `id` of that master; derived from its address by default")
	cmd.Flags().StringVar(&f.remove, "remove", "", "remove the master with this `id`")
	return cmd
}

func (f *membersFlags) run(cmd *cobra.Command) error {
	switch {
	case f.add != "" && f.remove != "":
		return badFlag("remove", f.remove, "must not be set with --add: one change at a time")
	case f.id != "" && f.add == "":
		return badFlag("id", f.id, "needs --add")
	case f.add != "":
		if err := checkAddress("add", f.add); err != nil {
			return err
		}
		if f.id == "" {
			f.id = raft.DeriveID(f.add)
		}
		return f.master.ask(cmd.Context(), "POST", "/members", map[string]string{"id": f.id, "address": f.add}, nil)
	case f.remove != "":
		return f.master.ask(cmd.Context(), "DELETE", "/members/"+url.PathEscape(f.remove), nil, nil)
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
		note := m.State
		if m.Leader {
			note = "leader"
		}
		table[i] = []string{m.ID, m.Address, m.Role, note}
	}
	return printTable(cmd.OutOrStdout(), "ID\tADDRESS\tROLE\tSTATE", table)
}

func (f *membersFlags) list(ctx context.Context) ([]memberRow, error) {
	if f.gossip.enabled() {
		return f.listGossip(ctx)
	}
	var masters struct {
		Members []memberRow `json:"members"`
	}
	if err := f.master.ask(ctx, "GET", "/members", nil, &masters); err != nil {
		return nil, err
	}
	rows := []memberRow{}
	for _, m := range masters.Members {
		m.Role = "master"
		rows = append(rows, m)
	}
	var slaves struct {
		Slaves []struct {
			ID       string `json:"id"`
			Hostname string `json:"hostname"`
			Address  string `json:"address"`
			Active   bool   `json:"active"`
		} `json:"slaves"`
	}
	if err := f.master.ask(ctx, "GET", "/slaves", nil, &slaves); err != nil {
		return nil, err
	}
	for _, s := range slaves.Slaves {
		row := memberRow{ID: s.ID, Address: s.Address, Role: "slave", State: "inactive"}
		if s.Active {
			row.State = "active"
		}
		rows = append(rows, row)
	}
	return rows, nil
}

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
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
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
			err = fmt.Errorf("nobody answers at %v", f.gossip.join)
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
		rows = append(rows, memberRow{ID: m.Name, Address: address, Role: role, State: fmt.Sprint(m.State), Leader: m.Tags[discovery.TagLeader] != "", Tags: m.Tags})
	}
	slices.SortFunc(rows, func(a, b memberRow) int { return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.ID, b.ID)) })
	return rows, nil
}
