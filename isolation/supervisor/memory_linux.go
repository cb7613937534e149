package supervisor

import (
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// memoryBases are where systems have a file system in memory that lives as long as their boot. What other users have of that kind is removed when
// they log out, under the feet of what they have left running.
var memoryBases = []string{"/run", "/dev/shm"}

// leastMemory and leastFiles are how many bytes and files a file system in memory must have room for to be used, if it has a bound: so that there is
// always some for the end of what was begun there.
const leastMemory, leastFiles = 16 << 20, 4096

// MemoryDir is a folder for Config.Memory, the same at each call with the same name until the machine's next boot; it need not exist. It is empty
// where the system has none, or none that is safe to use, and for a process that is not root.
func MemoryDir(name string) string {
	if os.Geteuid() != 0 {
		return ""
	}
	return memoryDir(memoryBases, name)
}

func memoryDir(bases []string, name string) string {
	for _, base := range bases {
		dir := filepath.Join(base, memoryFolder, name)
		if st, err := os.Lstat(dir); err == nil && st.IsDir() && isOwn(filepath.Dir(dir)) {
			return dir // even where there is no room left: it may hold containers
		}
	}
	for _, base := range bases {
		above := filepath.Join(base, memoryFolder)
		if !inMemory(base) || !hasRoom(base) {
			continue
		}
		if err := os.Mkdir(above, 0o711); err == nil || isOwn(above) {
			return filepath.Join(above, name)
		}
	}
	return ""
}

// inMemory reports whether a folder is on a file system in memory.
func inMemory(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && st.Type == unix.TMPFS_MAGIC
}

// hasRoom reports whether a file system takes more files, and has enough left when it did.
func hasRoom(dir string) bool {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil || st.Flags&unix.ST_RDONLY != 0 {
		return false
	}
	return (st.Blocks == 0 || st.Bavail*uint64(st.Bsize) >= leastMemory) && (st.Files == 0 || st.Ffree >= leastFiles)
}

// isOwn reports whether a folder is the user's own, and nobody else can put anything in it.
func isOwn(dir string) bool {
	st, err := os.Lstat(dir)
	if err != nil || !st.IsDir() || st.Mode().Perm()&0o022 != 0 {
		return false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && int(sys.Uid) == os.Geteuid()
}
