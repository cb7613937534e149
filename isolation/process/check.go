package process

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
)

// checkSpec says in words what the operating system would refuse with a number, or misunderstand.
func checkSpec(spec *isolation.Spec) error {
	c := spec.Command
	switch {
	case c == nil && spec.Function == "":
		return invalid("container %q: has neither command nor function", spec.Container)
	case c == nil:
		return checkVariables("environment", spec.Environment)
	}
	if err := checkVariables("environment", spec.Environment); err != nil {
		return err
	}
	return checkCommand(c, spec.Image != nil)
}

// CheckCommand says with an offer.Refusal what no process could be given of a command.
func CheckCommand(c *offer.Command) error { return checkCommand(c, false) }

// checkCommand lets a command that has an image leave the program to that.
func checkCommand(c *offer.Command, image bool) error {
	switch {
	case c.Shell && c.Value == "":
		return invalid("command.value: is empty (allowed: a line for the shell)")
	case !c.Shell && c.Value == "" && !image && (len(c.Arguments) == 0 || c.Arguments[0] == ""):
		return invalid("command.value: is empty (allowed: a program's path or name)")
	}
	if err := checkText("command.value", c.Value); err != nil {
		return err
	}
	for i, a := range c.Arguments {
		if err := checkText(fmt.Sprintf("command.arguments[%d]", i), a); err != nil {
			return err
		}
	}
	return checkVariables("command.environment", c.Environment)
}

// invalid is a Refusal, whose Reason says that the task is what is wrong.
func invalid(format string, args ...any) error {
	return offer.Refuse(offer.ReasonInvalidField, fmt.Sprintf(format, args...))
}

func checkVariables(field string, vars []offer.Variable) error {
	for i, v := range vars {
		at := fmt.Sprintf("%s[%d]", field, i)
		switch {
		case v.Name == "":
			return invalid("%s.name: is empty (allowed: a variable's name)", at)
		case strings.Contains(v.Name, "="):
			return invalid("%s.name: %.100q has a '=', which ends a variable's name (allowed: a name without)", at, v.Name)
		}
		if err := checkText(at+".name", v.Name); err != nil {
			return err
		}
		if err := checkText(at+".value", v.Value); err != nil {
			return err
		}
	}
	return nil
}

// checkText looks for the byte that ends strings in the operating system: what follows would get lost.
func checkText(field, text string) error {
	if i := strings.IndexByte(text, 0); i >= 0 {
		return invalid("%s: has a NUL byte at %d of %d, which no program can be given (allowed: every other byte)", field, i, len(text))
	}
	return nil
}

// openFolder opens a folder that is no link to one.
func openFolder(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch err {
	case nil:
		return os.NewFile(uintptr(fd), path), nil
	case unix.ELOOP, unix.ENOTDIR:
		return nil, fmt.Errorf("%q: is not a folder, or a link to one (allowed: a folder)", path)
	}
	return nil, &os.PathError{Op: "open", Path: path, Err: err}
}
