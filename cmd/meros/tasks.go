package main

import (
	"context"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/offer"
)

// taskRow is one task, in the names of Mesos' /tasks.
type taskRow struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	FrameworkID string `json:"framework_id"`
	ExecutorID  string `json:"executor_id,omitempty"`
	SlaveID     string `json:"slave_id"`
	Role        string `json:"role"`
	State       string `json:"state"`
	Healthy     *bool  `json:"healthy,omitempty"`
}

// health is what the task's health check says, in a word.
func (t *taskRow) health() string {
	switch {
	case t.Healthy == nil:
		return "-"
	case *t.Healthy:
		return "healthy"
	}
	return "unhealthy"
}

type tasksFlags struct {
	master    masterFlags
	json      bool
	framework string
	state     string
}

// tasksPage is how many tasks are asked for at once.
const tasksPage = 1000

func newTasks() *cobra.Command {
	f := &tasksFlags{}
	cmd := &cobra.Command{
		Use:   "tasks",
		Short: "List the tasks that the leading master knows",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.master.add(cmd)
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	cmd.Flags().StringVar(&f.framework, "framework", "", "only those of the framework with this `id`; all by default")
	cmd.Flags().StringVar(&f.state, "state", "", "only those in this `state`, as in TASK_RUNNING; all by default")
	return cmd
}

func (f *tasksFlags) run(cmd *cobra.Command) error {
	if f.state != "" && new(offer.State).UnmarshalText([]byte(f.state)) != nil {
		return badFlag("state", f.state, "must be a state such as TASK_STAGING, TASK_RUNNING, TASK_FINISHED")
	}
	all, err := f.master.listTasks(cmd.Context(), f.framework)
	if err != nil {
		return err
	}
	rows := []taskRow{}
	for _, t := range all {
		if f.state == "" || t.State == f.state {
			rows = append(rows, t)
		}
	}
	if f.json {
		return printJSON(cmd.OutOrStdout(), rows)
	}
	table := make([][]string, len(rows))
	for i, t := range rows {
		table[i] = []string{t.ID, t.Name, t.State, t.health(), t.FrameworkID, t.SlaveID}
	}
	return printTable(cmd.OutOrStdout(), "TASK\tNAME\tSTATE\tHEALTH\tFRAMEWORK\tSLAVE", table)
}

// listTasks asks the leading master for the tasks of a framework, or of all.
func (f *masterFlags) listTasks(ctx context.Context, framework string) ([]taskRow, error) {
	var rows []taskRow
	for offset := 0; ; offset += tasksPage {
		var page struct {
			Tasks []taskRow `json:"tasks"`
		}
		query := url.Values{"limit": {strconv.Itoa(tasksPage)}, "offset": {strconv.Itoa(offset)}, "order": {"asc"}}
		if framework != "" {
			query.Set("framework", framework)
		}
		if err := f.ask(ctx, "GET", "/tasks?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		rows = append(rows, page.Tasks...)
		if len(page.Tasks) < tasksPage {
			return rows, nil
		}
	}
}
