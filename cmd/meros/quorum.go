package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/election/raft"
	"github.com/meros-project/meros/internal/transport"
)

type quorumFlags struct {
	tls              tlsFlags
	workDir, cluster string
}

func newRecoverQuorum() *cobra.Command {
	f := &quorumFlags{}
	cmd := &cobra.Command{
		Use:   "recover-quorum",
		Short: "Make a surviving master a cluster of its own, when most of the others are lost for ever",
		Long: `Make the master with this work directory a cluster of its own, when so many others are lost for ever that those left can elect nobody. End
the master first, and all others that are left: each that is known to this one is asked, and while one answers nothing is changed. Of several
that are left, take the one whose log goes furthest; the refusals tell. What only the lost ones had is lost.

Then start the master as before, and let others join with empty work directories: see meros members --help.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	cmd.Flags().StringVar(&f.workDir, "work-dir", "", "`folder` of the surviving master; required")
	cmd.Flags().StringVar(&f.cluster, "cluster", "meros", "`name` of the cluster")
	f.tls.add(cmd)
	return cmd
}

func (f *quorumFlags) run(cmd *cobra.Command) error {
	if f.workDir == "" {
		return badFlag("work-dir", "", "is required: the folder of the surviving master")
	}
	config, err := f.tls.config()
	if err != nil {
		return err
	}
	masters := transport.Dialer{TLS: config, Insecure: f.tls.insecure}
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		plain, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err // nobody is there
		}
		_ = plain.Close()
		conn, err := masters.Dial(ctx, address, transport.Raft)
		if err != nil {
			err = fmt.Errorf("%w: something at %s takes connections, but could not be asked: %w", raft.ErrStillThere, address, err)
		}
		return conn, err
	}
	done, err := raft.RecoverQuorum(cmd.Context(), raft.Config{Dir: f.workDir, Cluster: f.cluster}, dial)
	switch {
	case errors.Is(err, raft.ErrStillThere):
		return fmt.Errorf("nothing was changed: %w", err)
	case err != nil:
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "recovered: master %s at %s is a cluster of its own, with all up to entry %d; left out:", done.Self.ID, done.Self.Address, done.Entry)
	for _, p := range done.Lost {
		fmt.Fprintf(cmd.OutOrStdout(), " %s at %s", p.ID, p.Address)
	}
	fmt.Fprintln(cmd.OutOrStdout())
	return nil
}
