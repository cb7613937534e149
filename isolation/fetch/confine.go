package fetch

import (
	"time"

	"github.com/meros-project/meros/isolation"
)

// A Confinement is what a process keeps that looks at what strangers have chosen. The zero value keeps no folder, no time and no rights.
type Confinement struct {
	User      *isolation.User // whom to become; nil means to stay
	Owners    bool            // may give files away and may pass the permissions of folders, if it is root: nothing else that root may
	Read      []string        // folders that it may read, beside what names and certificates are looked up in; those that are missing are left out
	ReadFiles []string        // the same of files
	Write     string          // a folder that it may write to; empty means none
	FileBytes int64           // the largest file that it may write
	CPU       time.Duration   // how long it may compute
}

// Confine takes from this process, in all of its threads and for ever, what it does not need: privileges to gain, limits for memory,
// descriptors, files and processor time, and, where the kernel has Landlock, every folder but the named ones.
func Confine(c Confinement) error { return confine(c) }

// Landlocked reports whether this kernel has Landlock, without which Confine closes no folder.
func Landlocked() bool { return landlocked() }

// confinement is that of a fetcher.
func (j *job) confinement() Confinement {
	return Confinement{User: j.User, Read: j.Files, Write: j.Sandbox, FileBytes: max(j.MaxBytes, j.MaxUnpacked), CPU: j.Timeout}
}
