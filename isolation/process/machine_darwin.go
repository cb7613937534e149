package process

import "golang.org/x/sys/unix"

// Machine tells how much memory the machine has and how much space the file system of path, in bytes. Zero means unknown.
func Machine(path string) (memory, disk uint64) {
	memory, _ = unix.SysctlUint64("hw.memsize")
	var st unix.Statfs_t
	if unix.Statfs(path, &st) == nil {
		disk = st.Blocks * uint64(st.Bsize)
	}
	return memory, disk
}
