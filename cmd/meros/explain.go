package main

import (
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"
)

type explainFlags struct {
	master masterFlags
	json   bool
	role   string
	slave  string
}

func newExplain() *cobra.Command {
	f := &explainFlags{}
	cmd := &cobra.Command{
		Use:   "explain FRAMEWORK",
		Short: "Say why a framework is offered nothing, and what would change that",
		Long: `Say why the framework with this id is offered nothing, or what it will be offered: one line for each cause, in the order in which the
master looks at them, with the smallest change that would end it. What is alike on several slaves is one line. Nothing is changed.

  meros explain f-1                           in all of its roles, on all slaves
  meros explain f-1 --role web --slave s-3    in one role, on one slave`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return usagef("explain: %d arguments: the id of one framework is required, as in f-1", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	f.master.add(cmd)
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	cmd.Flags().StringVar(&f.role, "role", "", "only in this `role`; by default in all that the framework is subscribed to")
	cmd.Flags().StringVar(&f.slave, "slave", "", "only on the slave with this `id`; by default on all")
	return cmd
}

func (f *explainFlags) run(cmd *cobra.Command, framework string) error {
	query := url.Values{"framework": {framework}}
	if f.role != "" {
		query.Set("role", f.role)
	}
	if f.slave != "" {
		query.Set("slave", f.slave)
	}
	var answer json.RawMessage
	if err := f.master.ask(cmd.Context(), "GET", "/explain?"+query.Encode(), nil, &answer); err != nil {
		return err
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	var said struct {
		Text string `json:"text"`
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return err
	}
	_, err := fmt.Fprint(cmd.OutOrStdout(), said.Text)
	return err
}
