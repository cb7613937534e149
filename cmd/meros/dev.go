package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/master"
	"github.com/meros-project/meros/offer/resource"
	"github.com/meros-project/meros/slave"
)

type devFlags struct {
	log         logFlags
	listen      string
	slaveListen string
	workDir     string
	resources   string
	isolation   isolationFlags
	images      imageFlags
}

func newDev() *cobra.Command {
	f := &devFlags{isolation: isolationFlags{processes: 4096}}
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a master and a slave in this terminal, to try things on",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:5050", "`HOST:PORT` of the master")
	flags.StringVar(&f.slaveListen, "slave-listen", "127.0.0.1:5051", "`HOST:PORT` of the slave")
	flags.StringVar(&f.workDir, "work-dir", "", "`folder` to keep everything in; a temporary one by default, removed at the end")
	flags.StringVar(&f.resources, "resources", "", "what to offer, as in cpus:4;mem:8192; the machine's by default")
	f.isolation.add(cmd)
	f.images.add(cmd)
	f.log.add(cmd)
	return cmd
}

func (f *devFlags) run(cmd *cobra.Command) (err error) {
	for _, a := range []struct{ flag, address string }{{"listen", f.listen}, {"slave-listen", f.slaveListen}} {
		if err := checkAddress(a.flag, a.address); err != nil {
			return err
		}
		if err := mayListen(a.flag, a.address, false); err != nil {
			return err
		}
	}
	log, err := f.log.logger()
	if err != nil {
		return err
	}
	var offered resource.Resources
	if f.resources != "" {
		if offered, err = resource.Parse(f.resources); err != nil {
			return badFlag("resources", f.resources, err.Error())
		}
	}
	dir := f.workDir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "meros-dev-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	m, err := master.New(master.Config{Election: election.Standalone(election.InDir(filepath.Join(dir, "master"))), Listen: f.listen, Logger: log})
	if err != nil {
		return &usageError{err}
	}
	cfg := slave.Config{Masters: []string{f.listen}, Listen: f.slaveListen, WorkDir: filepath.Join(dir, "slave"), Resources: offered,
		Logger: log, Leave: f.workDir == "", Sessions: true}
	if err := f.isolation.config(&cfg); err != nil {
		return err
	}
	if cfg.Image, err = f.images.config(); err != nil {
		return err
	}
	s, err := slave.New(cfg)
	if err != nil {
		return &usageError{err}
	}
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	var wg sync.WaitGroup
	ended := make(chan error, 2)
	slaveCtx, stopSlave := context.WithCancel(ctx)
	defer stopSlave()
	masterCtx, stopMaster := context.WithCancel(context.WithoutCancel(ctx))
	defer stopMaster()
	wg.Go(func() { ended <- m.Run(masterCtx) })
	slaveEnded := make(chan struct{})
	wg.Go(func() {
		defer close(slaveEnded)
		ended <- s.Run(slaveCtx)
	})
	ready := s.Ready()
	for {
		select {
		case <-ready:
			ready = nil
			fmt.Fprintf(cmd.OutOrStdout(), "ready: master on %s, slave on %s, data in %s\ntry:   meros run --master %s --cpus 0.1 --mem 32 -- echo hello\n",
				f.listen, f.slaveListen, dir, f.listen)
			continue
		case err = <-ended:
		case <-ctx.Done():
		}
		break
	}
	stopSlave() // the slave first, so that it can still say good-bye
	<-slaveEnded
	stopMaster()
	wg.Wait()
	return err
}
