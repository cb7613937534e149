package fetch

import (
	"errors"
	"net/url"
	"path"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/unpack"
	"github.com/meros-project/meros/offer"
)

// roleName is the role of a fetcher.
const roleName = "meros-fetcher"

// A job is what one fetcher process is told, as a line of JSON on its stdin. Then it reads answers there: true or false for each room that it
// has asked for. The end of its stdin is the end of the slave, and its own.
type job struct {
	User    *isolation.User // whom to become; nil means to stay
	Sandbox string          // empty for a download into the cache
	Items   []item

	Config
	AskRoom bool // before bytes are written

	authorities []byte // what CAFile holds
}

// An item is one URI.
type item struct {
	URI        string
	Name       string // in the sandbox
	Extract    bool
	Executable bool
	// Descriptor is the file of the cache: to write the download to, if there is no Sandbox, else to read it from. Zero means to download to
	// the sandbox.
	Descriptor int
}

// A reply is a line of JSON on a fetcher's stdout.
type reply struct {
	Room  int64  `json:",omitempty"` // so many bytes, in all, are asked for: answered by true or false
	Done  bool   `json:",omitempty"` // all is there
	Error string `json:",omitempty"` // why it is not
}

func (j *job) unpacking() unpack.Options {
	return unpack.Options{MaxBytes: j.MaxUnpacked, MaxEntries: j.MaxEntries, Reserved: []string{"stdout", "stderr"}}
}

// fileName is what a URI is called in the sandbox.
func fileName(u *offer.URI) (string, error) {
	if u.OutputFile != "" {
		return u.OutputFile, nil
	}
	parsed, err := url.Parse(u.Value)
	if err != nil {
		return "", errors.New("is not a URI")
	}
	name := path.Base(parsed.Path)
	again := offer.URI{Value: u.Value, OutputFile: name}
	if err := offer.ValidateURIs([]offer.URI{again}); err != nil {
		return "", errors.New("ends in a name that cannot be used (allowed: an output file that is set)")
	}
	return name, nil
}

// show is a URI in a message: without what may be secret in it, a password or a signed query.
func show(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "a URI that cannot be read"
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	if u.RawQuery != "" {
		u.RawQuery = "..."
	}
	s := u.String()
	if len(s) > 200 {
		s = s[:200] + "..."
	}
	return s
}
