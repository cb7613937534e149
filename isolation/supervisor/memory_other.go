//go:build !linux

package supervisor

// MemoryDir is empty: only Linux is known to have such a folder.
func MemoryDir(string) string { return "" }

func hasRoom(string) bool { return true }
