package image

import (
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
)

// settle adds to the plan what the image says. What the task says itself goes before it, and it before what every task gets.
func (i *Isolator) settle(spec *isolation.Spec, plan *isolation.Plan, s *Settings, dir string) error {
	root, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	u, err := i.user(root, spec, s)
	if err != nil {
		return err
	}
	if u == nil {
		u = plan.User // whom every task runs as
	}
	if err := arguments(spec.Command, plan, s); err != nil {
		return err
	}
	environment(spec, plan, s)
	if u != nil && plan.User != u {
		if err := process.Own(spec.Sandbox, u); err != nil {
			return err
		}
		plan.User = u
		setUnlessSaid(spec, plan, "USER", u.Name)
		setUnlessSaid(spec, plan, "LOGNAME", u.Name)
	}
	if s.WorkingDir != "" {
		wd := path.Clean(s.WorkingDir)
		if err := makeIn(root, wd); err != nil {
			return fmt.Errorf("its working directory %.200q cannot be made: %w", s.WorkingDir, err)
		}
		plan.Directory = wd
	}
	return nil
}

// arguments takes from the image what the command does not say. Arguments without a program are those of the image's entry point.
func arguments(c *offer.Command, plan *isolation.Plan, s *Settings) error {
	if c == nil || c.Shell || c.Value != "" {
		return nil
	}
	argv := s.Argv(c.Arguments)
	if len(argv) == 0 || argv[0] == "" {
		return offer.Refuse(offer.ReasonInvalidField, "command.value: is empty, and the image says nothing about what to run (allowed: a program's path or name)")
	}
	plan.Program, plan.Argv = "", argv
	return nil
}

// environment adds the image's variables. Entries that are none are left out.
func environment(spec *isolation.Spec, plan *isolation.Plan, s *Settings) {
	for _, e := range s.Env {
		if name, value, ok := strings.Cut(e, "="); ok && name != "" {
			setUnlessSaid(spec, plan, name, value)
		}
	}
}

// setUnlessSaid sets a variable that the task does not set itself, and that is none of those that tell the task about itself.
func setUnlessSaid(spec *isolation.Spec, plan *isolation.Plan, name, value string) {
	said := spec.Environment
	if spec.Command != nil {
		said = append(said[:len(said):len(said)], spec.Command.Environment...)
	}
	for _, v := range said {
		if v.Name == name {
			return
		}
	}
	plan.Setenv(name, value)
}
