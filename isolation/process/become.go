package process

import (
	"fmt"
	"os"
	"syscall"

	"github.com/meros-project/meros/isolation"
)

// Become makes the calling process, in all of its threads, that user, with its groups and no others. It is for processes that are about to
// do a task's work: there is no way back. Nil means to stay.
func Become(u *isolation.User) error {
	if u == nil {
		return nil
	}
	groups := u.Groups
	if groups == nil {
		groups = []int{}
	}
	if err := syscall.Setgroups(groups); err != nil {
		return fmt.Errorf("user %s: set groups: %w", u.Name, err)
	}
	if err := syscall.Setgid(u.GID); err != nil {
		return fmt.Errorf("user %s: set group: %w", u.Name, err)
	}
	if err := syscall.Setuid(u.UID); err != nil {
		return fmt.Errorf("user %s: set user: %w", u.Name, err)
	}
	if os.Geteuid() != u.UID || os.Getegid() != u.GID {
		return fmt.Errorf("user %s: has not become it", u.Name)
	}
	return nil
}
