package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/raft"
	"github.com/meros-project/meros/master"
)

func newSnapshot() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Save what a cluster has decided, and begin a cluster with it",
		Long: `Save what a cluster has decided to a file, and begin a cluster with it: after a disaster, or to change how masters elect their leader.
A file is of no particular kind of election. To move a cluster from one to another, or from meros dev to masters:

  meros snapshot save FILE                           of the masters that run
  (stop all of them; slaves and tasks go on)
  meros snapshot restore FILE --work-dir EMPTY ...   for one new master
  meros master --work-dir EMPTY ...                  the others join it, see meros members --help`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("snapshot: argument %q: must be save or restore", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSnapshotSave(), newSnapshotRestore())
	return cmd
}

// oneFile asks for one argument, the file.
func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return usagef("snapshot %s: %d arguments: exactly one is required, the file", cmd.Name(), len(args))
	}
	return nil
}

func newSnapshotSave() *cobra.Command {
	f := &masterFlags{}
	cmd := &cobra.Command{
		Use:   "save FILE",
		Short: "Save what the cluster has decided to a new file",
		Long: `Save what the cluster has decided so far, as its leader knows it, to a new file: who the cluster is, its slaves, frameworks, roles and
quotas. Tasks are not in it: slaves know them. When the command has ended well, the file is whole and on the disk.`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error { return f.save(cmd, args[0]) },
	}
	f.add(cmd)
	return cmd
}

func (f *masterFlags) save(cmd *cobra.Command, path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s is there already: it is not replaced", path)
	}
	var about election.Saved
	err := f.stream(cmd.Context(), "POST", "/snapshot", func(r io.Reader) (err error) {
		about, err = election.KeepSaved(path, r)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "saved: %s\n", describe(about))
	return nil
}

func describe(about election.Saved) string {
	return fmt.Sprintf("cluster %s, reign %d, entry %d, taken %s", about.ClusterID, about.Reign, about.Index, about.Taken.Format(time.RFC3339))
}

type restoreFlags struct {
	workDir, advertise, id, cluster string
}

func newSnapshotRestore() *cobra.Command {
	f := &restoreFlags{}
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Begin a cluster of one master with a saved file",
		Long: `Fill an empty work directory so that a master begins with what a file says. The cluster has the identity of the saved one, and its reigns
and ids go on above all that the saved one can have used since, so that slaves and their tasks come back to it. What the saved cluster has
decided after it was saved is not in it: see that none of its masters runs, or ever will again with its old work directory.

Start the master with the same address, and let others join: see meros members --help.`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error { return f.restore(cmd, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.workDir, "work-dir", "", "empty or missing `folder` for the master's log; required")
	flags.StringVar(&f.advertise, "advertise", "127.0.0.1:5050", "`HOST:PORT` of the master, as others will reach it: what its --advertise or --listen will be")
	flags.StringVar(&f.id, "id", "", "the master's `id`; derived from its address by default")
	flags.StringVar(&f.cluster, "cluster", "meros", "`name` of the cluster; files of others are refused")
	return cmd
}

func (f *restoreFlags) restore(cmd *cobra.Command, path string) (err error) {
	if f.workDir == "" {
		return badFlag("work-dir", "", "is required: an empty folder")
	}
	if err := checkAddress("advertise", f.advertise); err != nil {
		return err
	}
	if strings.HasSuffix(f.advertise, ":0") {
		return badFlag("advertise", f.advertise, "must have a port other than 0, by which the other masters find this one")
	}
	saved, err := election.OpenSaved(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, saved.Close()) }()
	if saved.Cluster != f.cluster {
		return fmt.Errorf("%s is of cluster %q, --cluster is %q", path, saved.Cluster, f.cluster)
	}
	state, err := master.TakeUp(saved)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer state.Release()
	self, err := raft.Seed(raft.Config{Dir: f.workDir, Cluster: f.cluster, NodeID: f.id}, f.advertise, saved.Index, state)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "restored: %s; start the master %s with: meros master --listen %s --work-dir %s\n",
		describe(saved.Saved), self.ID, self.Address, f.workDir)
	return nil
}
