//go:build !linux

package ports

import (
	"fmt"
	"runtime"
	"time"

	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer/resource"
)

func supported() error { return fmt.Errorf("%s does not tell who listens on which port", runtime.GOOS) }

func rootsOf(int) []process.ID { return nil }

type machine struct{}

func (*machine) listeners(time.Duration, resource.Ranges, []process.ID, int) []listener { return nil }
