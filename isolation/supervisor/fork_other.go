//go:build !linux || !(amd64 || arm64)

package supervisor

import (
	"errors"
	"os"

	"github.com/meros-project/meros/isolation"
)

func forks(*isolation.Plan) bool { return false }

func (s *supervisorState) forkStage([]*os.File) (int, error) { return 0, errors.ErrUnsupported }
