package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
)

// profiles are what every benchmark can write on the way. Child processes write their own, if they end in order.
type profiles struct {
	cpu, memory string
	file        *os.File
}

func (p *profiles) flags(fs *flag.FlagSet) {
	fs.StringVar(&p.cpu, "cpuprofile", "", "write a CPU profile to this file; FILE.N of child process N that ends in order")
	fs.StringVar(&p.memory, "memprofile", "", "write a heap profile to this file at the end")
}

func (p *profiles) start() error {
	if p.cpu == "" {
		return nil
	}
	f, err := os.Create(p.cpu)
	if err != nil {
		return err
	}
	p.file = f
	if err := pprof.StartCPUProfile(f); err != nil {
		return errors.Join(err, f.Close())
	}
	return nil
}

func (p *profiles) stop() error {
	var errs []error
	if p.file != nil {
		pprof.StopCPUProfile()
		errs = append(errs, p.file.Close())
		p.file = nil
	}
	if p.memory != "" {
		errs = append(errs, writeHeap(p.memory))
	}
	return errors.Join(errs...)
}

func writeHeap(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	runtime.GC()
	if err := pprof.WriteHeapProfile(f); err != nil {
		return errors.Join(fmt.Errorf("heap profile: %w", err), f.Close())
	}
	return f.Close()
}
