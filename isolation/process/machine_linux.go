package process

import "golang.org/x/sys/unix"

// Machine tells how much memory the machine has and how much space the file system of path, in bytes. Zero means unknown.
func Machine(path string) (memory, disk uint64) {
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) == nil {
		memory = uint64(si.Totalram) * uint64(si.Unit)
	}
	var st unix.Statfs_t
	if unix.Statfs(path, &st) == nil {
		disk = st.Blocks * uint64(st.Bsize)
	}
	return memory, disk
}
