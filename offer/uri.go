package offer

import (
	"fmt"
	"strings"
)

// A URI is a file that the slave brings into the sandbox before the command is started, as the task's user. Mesos: CommandInfo.URI.
type URI struct {
	// Value is what to fetch: http://, https://, or file:// with an absolute path of the slave's machine. Which addresses and which paths may
	// be used, the slave decides.
	Value string
	// Extract unpacks an archive into the sandbox instead of keeping it: .tar, .tar.gz, .tgz, .tar.bz2, .tbz2, .gz or .zip by its name;
	// anything else is kept as it is. Mesos' default is true; here, as everywhere, a field that is not set is false.
	Extract bool
	// Executable gives the file its executable bit. Not together with Extract.
	Executable bool
	// Cache keeps what was downloaded on the slave: tasks of the same user that ask for the same Value, then or later, share one download.
	// Nothing asks whether the original has changed.
	Cache bool
	// OutputFile is the name in the sandbox, with folders if it has any; the last part of Value's path by default.
	OutputFile string
}

// The most that is allowed of a Command's URIs.
const (
	MaxURIs = 128  // of one Command
	MaxURI  = 4096 // bytes of a Value or an OutputFile
)

// ValidateURIs checks what a stranger asks to fetch; the error names the field, the value and what is allowed.
func ValidateURIs(uris []URI) error {
	if len(uris) > MaxURIs {
		return fmt.Errorf("uris: %d of them (allowed: at most %d)", len(uris), MaxURIs)
	}
	for i := range uris {
		if err := uris[i].validate(); err != nil {
			return fmt.Errorf("uris[%d].%w", i, err)
		}
	}
	return nil
}

func (u *URI) validate() error {
	bad := func(field, value, why string) error {
		if len(value) > 80 {
			value = value[:80] + "..."
		}
		return fmt.Errorf("%s %q: %s", field, value, why)
	}
	scheme, rest, found := strings.Cut(u.Value, "://")
	switch {
	case len(u.Value) > MaxURI:
		return bad("value", u.Value, fmt.Sprintf("has %d bytes (allowed: at most %d)", len(u.Value), MaxURI))
	case hasControl(u.Value) || strings.Contains(u.Value, " "):
		return bad("value", u.Value, "contains a space or a control character (allowed: written as %20 and the like)")
	case !found:
		return bad("value", u.Value, "has no scheme (allowed: http://, https:// or file://)")
	case scheme != "http" && scheme != "https" && scheme != "file":
		return bad("value", u.Value, "this scheme is not fetched (allowed: http://, https:// or file://)")
	case scheme == "file" && !strings.HasPrefix(rest, "/"):
		return bad("value", u.Value, "names a host (allowed: file:// and an absolute path)")
	case scheme != "file" && (rest == "" || strings.ContainsAny(rest[:1], "/?#")):
		return bad("value", u.Value, "has no host")
	case u.Extract && u.Executable:
		return bad("executable", u.Value, "is set together with extract (allowed: one of them)")
	}
	if u.OutputFile == "" {
		path, _, _ := strings.Cut(rest, "?")
		path, _, _ = strings.Cut(path, "#")
		_, path, _ = strings.Cut(path, "/")
		if name := path[strings.LastIndexByte(path, '/')+1:]; name == "" || name == "." || name == ".." {
			return bad("value", u.Value, "ends without a file's name (allowed: a name there, or an output file)")
		}
		return nil
	}
	if why := checkSandboxName(u.OutputFile); why != "" {
		return bad("output file", u.OutputFile, why)
	}
	return nil
}

// checkSandboxName says what is wrong with a file's name in a sandbox.
func checkSandboxName(name string) string {
	switch {
	case len(name) > MaxURI:
		return fmt.Sprintf("has %d bytes (allowed: at most %d)", len(name), MaxURI)
	case hasControl(name) || strings.Contains(name, `\`):
		return "contains a control character or a backslash"
	case name == "stdout" || name == "stderr":
		return "is the task's own output"
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." || len(part) > 255 {
			return "is not a path inside the sandbox (allowed: names of at most 255 bytes with single slashes between them, none of them '.' or '..')"
		}
	}
	return ""
}

func hasControl(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// An Image is what a container has as its root folder instead of the slave's machine's.
type Image struct {
	// Reference names an OCI image: HOST[:PORT]/NAME[:TAG][@sha256:DIGEST] in a registry, layout:/FOLDER[:TAG] for a folder in OCI layout, or
	// archive:/FILE[:TAG] for a tarball of one or of `docker save`. Which registries and paths may be used, the slave decides. The TAG is
	// "latest" by default.
	Reference string
}

// MaxReference is the longest Reference, in bytes.
const MaxReference = 1024

// ValidateImage checks an image that a stranger chose, nil included; that it exists, the slave finds out.
func ValidateImage(i *Image) error {
	switch {
	case i == nil:
		return nil
	case i.Reference == "":
		return fmt.Errorf("image.reference: is empty (allowed: HOST/NAME:TAG, layout:/FOLDER or archive:/FILE)")
	case len(i.Reference) > MaxReference:
		return fmt.Errorf("image.reference: has %d bytes (allowed: at most %d)", len(i.Reference), MaxReference)
	case hasControl(i.Reference) || strings.Contains(i.Reference, " "):
		return fmt.Errorf("image.reference %q: contains a space or a control character", i.Reference)
	}
	return nil
}
