package image

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/fetch"
	"github.com/meros-project/meros/offer"
)

func init() { child = childMain }

// childMain makes a copy of the test program what a test needs a process of its own for.
func childMain() {
	var err error
	switch {
	case os.Getenv("MEROS_TEST_PROVIDER") != "":
		err = provide(os.Getenv("MEROS_TEST_PROVIDER"), os.Getenv("MEROS_TEST_IMAGE"))
	case os.Getenv("MEROS_TEST_PULLER") != "":
		err = tryToBreakOut(os.Getenv("MEROS_TEST_PULLER"))
	default:
		return
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// provide makes two root folders, says where they are, and waits to be killed.
func provide(config, ref string) error {
	var cfg Config
	if err := json.Unmarshal([]byte(config), &cfg); err != nil {
		return err
	}
	i, err := New(cfg)
	if err != nil {
		return err
	}
	var roots []string
	for _, c := range []string{"c-1", "c-2"} {
		spec := &isolation.Spec{Container: c, Sandbox: cfg.Store.Dir, Image: &offer.Image{Reference: ref}}
		plan := &isolation.Plan{User: &isolation.User{}}
		if err := i.Provide(ctx, spec, plan); err != nil {
			return err
		}
		roots = append(roots, plan.Rootfs)
	}
	if err := json.NewEncoder(os.Stdout).Encode(roots); err != nil {
		return err
	}
	select {}
}

// tryToBreakOut does what a puller might be made to do.
func tryToBreakOut(dir string) error {
	if err := fetch.Confine(fetch.Confinement{Owners: true, Write: dir, FileBytes: 1000, CPU: time.Minute}); err != nil {
		return err
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		return fmt.Errorf("its own folder is closed: %w", err)
	}
	if err := os.Chown(file, 1234, 1234); err != nil {
		return fmt.Errorf("it cannot give files away: %w", err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		return fmt.Errorf("it has no rights to what it has given away: %w", err)
	}
	for what, try := range map[string]func() error{
		"mount":           func() error { return unix.Mount("tmpfs", dir, "tmpfs", 0, "") },
		"make a device":   func() error { return unix.Mknod(filepath.Join(dir, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))) },
		"become another":  func() error { return unix.Setuid(1234) },
		"change its root": func() error { return unix.Chroot(dir) },
		"set the clock":   func() error { return unix.Settimeofday(&unix.Timeval{Sec: time.Now().Unix()}) },
		"write too much":  func() error { return os.WriteFile(file, make([]byte, 2000), 0o600) },
	} {
		if try() == nil {
			return fmt.Errorf("it can %s", what)
		}
	}
	if !fetch.Landlocked() {
		return nil
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "elsewhere"), nil, 0o600); err == nil {
		return fmt.Errorf("it can write elsewhere")
	}
	return nil
}
