package offer

import (
	"fmt"
	"strings"
)

// A Network is the network that a container has.
type Network uint8

const (
	// NetworkHost is the slave's machine's.
	NetworkHost Network = iota
	// NetworkNone is one of the container's own with a loopback and nothing else: it reaches nobody, and nobody reaches it.
	NetworkNone
)

var networkNames = [...]string{"HOST", "NONE"}

// String returns the network's name: "HOST" or "NONE".
func (n Network) String() string {
	if int(n) < len(networkNames) {
		return networkNames[n]
	}
	return fmt.Sprintf("Network(%d)", uint8(n))
}

// A Volume is something that a container sees at a path of its own. Exactly one of HostPath, SandboxPath and Secret is set. Persistent
// volumes come as resources instead. Mesos: Volume.
type Volume struct {
	// ContainerPath is where the container sees it: absolute, or relative to its sandbox. What is missing on the way is made; an absolute one
	// must exist where the container has the machine's root folder.
	ContainerPath string
	// ReadOnly keeps the container from writing to it. A secret always is.
	ReadOnly bool
	// HostPath is the absolute path of a file or folder on the slave's machine. Which ones may be used, the slave decides.
	HostPath string
	// SandboxPath is a path in the container's sandbox, made as a folder where it is missing.
	SandboxPath string
	// Secret is the content of a file that only the task's user can read, in memory that is never swapped out where the system can promise it.
	Secret Secret
}

// A Secret is content that is not for everybody. It is part of the task's description, and is kept where that is kept; but formatted
// it is not shown.
type Secret []byte

// String hides the content.
func (s Secret) String() string { return fmt.Sprintf("(%d bytes)", len(s)) }

// Format hides the content whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, s.String()) }

// The most that is allowed of Volumes.
const (
	MaxVolumes = 64       // of one container
	MaxPath    = 4096     // bytes of a path
	MaxSecret  = 64 << 10 // bytes of a Secret
)

// ValidateContainer checks what a stranger wants a container to be like; the error names the field, the value and what is allowed. Whether the
// slave can give it, the slave finds out.
func ValidateContainer(image *Image, network Network, volumes []Volume) error {
	if err := ValidateImage(image); err != nil {
		return err
	}
	if int(network) >= len(networkNames) {
		return fmt.Errorf("network: %d (allowed: %s)", network, strings.Join(networkNames[:], ", "))
	}
	if len(volumes) > MaxVolumes {
		return fmt.Errorf("volumes: %d of them (allowed: at most %d)", len(volumes), MaxVolumes)
	}
	for i := range volumes {
		if err := volumes[i].validate(); err != nil {
			return fmt.Errorf("volumes[%d].%w", i, err)
		}
		for j := range volumes[:i] {
			if overlap(volumes[j].ContainerPath, volumes[i].ContainerPath) {
				return fmt.Errorf("volumes[%d].containerPath %.80q: is, holds or lies in that of volumes[%d] (allowed: a path apart from the others)",
					i, volumes[i].ContainerPath, j)
			}
		}
	}
	return nil
}

func (v *Volume) validate() error {
	if why := checkPath(v.ContainerPath); why != "" {
		return fmt.Errorf("containerPath %.80q: %s", v.ContainerPath, why)
	}
	for _, taken := range [...]string{"/proc", "/sys", "/dev", "/", "stdout", "stderr"} {
		if v.ContainerPath == taken || taken != "/" && strings.HasPrefix(v.ContainerPath, taken+"/") {
			return fmt.Errorf("containerPath %.80q: is %s or lies in it (allowed: a path that the slave does not need)", v.ContainerPath, taken)
		}
	}
	kinds := 0
	for _, set := range [...]bool{v.HostPath != "", v.SandboxPath != "", len(v.Secret) > 0} {
		if set {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return fmt.Errorf("hostPath: %d of hostPath, sandboxPath and secret are set (allowed: exactly one)", kinds)
	case len(v.Secret) > MaxSecret:
		return fmt.Errorf("secret: has %d bytes (allowed: at most %d)", len(v.Secret), MaxSecret)
	case v.HostPath != "" && v.HostPath != "/":
		if why := checkPath(v.HostPath); why != "" {
			return fmt.Errorf("hostPath %.80q: %s", v.HostPath, why)
		}
	case v.SandboxPath != "":
		if why := checkSandboxName(v.SandboxPath); why != "" {
			return fmt.Errorf("sandboxPath %.80q: %s", v.SandboxPath, why)
		}
	}
	if v.HostPath != "" && v.HostPath[0] != '/' {
		return fmt.Errorf("hostPath %.80q: is relative (allowed: an absolute path)", v.HostPath)
	}
	if v.SandboxPath != "" && overlap(v.SandboxPath, v.ContainerPath) {
		return fmt.Errorf("sandboxPath %.80q: is, holds or lies in containerPath %.80q", v.SandboxPath, v.ContainerPath)
	}
	return nil
}

// checkPath says what is wrong with an absolute or relative path.
func checkPath(path string) string {
	switch {
	case path == "":
		return "is empty (allowed: a path)"
	case len(path) > MaxPath:
		return fmt.Sprintf("has %d bytes (allowed: at most %d)", len(path), MaxPath)
	case hasControl(path):
		return "contains a control character"
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if part == "" && path != "/" || part == "." || part == ".." || len(part) > 255 {
			return "is not plain (allowed: names of at most 255 bytes with single slashes between them, none of them '.' or '..')"
		}
	}
	return ""
}

// overlap reports whether two paths are the same or one lies in the other.
func overlap(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}
