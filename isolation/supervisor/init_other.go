//go:build !linux

package supervisor

import (
	"errors"
	"os"
	"syscall"

	"github.com/meros-project/meros/isolation"
)

// apart says how the first process of a container with namespaces of its own is started.
func apart(plan *isolation.Plan, _ *syscall.SysProcAttr) error {
	if plan.Namespaces != nil {
		return errors.New("namespaces: need Linux")
	}
	return nil
}

// initial is for containers with namespaces of their own.
func initial(*stagePlan, *os.File) int { return 126 }
