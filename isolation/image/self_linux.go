package image

// self is the host program, also when its file has been replaced or deleted since it was started.
func self() (string, error) { return "/proc/self/exe", nil }
