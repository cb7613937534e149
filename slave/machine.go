package slave

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/meros-project/meros/isolation/supervisor"
	"github.com/meros-project/meros/offer/resource"
)

// defaultResources leaves half of memory and disk, at most 1 GiB and 5 GiB, to the system.
func defaultResources(memory, disk uint64) (resource.Resources, error) {
	const mebi = 1 << 20
	rest := func(have, keep uint64) resource.Scalar {
		return resource.Units(int64((have - min(have/2, keep)) / mebi))
	}
	return resource.New(
		resource.NewScalar(resource.CPUs, resource.Units(int64(runtime.NumCPU()))),
		resource.NewScalar(resource.Mem, rest(memory, 1024*mebi)),
		resource.NewScalar(resource.Disk, rest(disk, 5*1024*mebi)),
		resource.NewRanges(resource.Ports, resource.Range{Begin: 31000, End: 32000}))
}

// runtimeDir is the default of Config.RuntimeDir.
func runtimeDir(work string) string {
	dir := filepath.Join(work, "run")
	if len(dir) <= supervisor.MaxDir {
		return dir
	}
	sum := sha256.Sum256([]byte(work))
	return filepath.Join("/tmp", "meros-"+strconv.Itoa(os.Geteuid())+"-"+hex.EncodeToString(sum[:8]))
}

// memoryDir is where containers have their files in memory, empty for none: not for a slave that was told where to have them.
func (c Config) memoryDir() string {
	if c.RuntimeDir != runtimeDir(c.WorkDir) {
		return ""
	}
	return supervisor.MemoryDir(nameOf(c.WorkDir))
}
