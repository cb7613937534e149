package process

import (
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
)

// user decides whom the container runs as.
func (p *Isolator) user(spec *isolation.Spec) (*isolation.User, error) {
	if os.Geteuid() != 0 {
		u, err := current()
		if err != nil {
			return nil, err
		}
		if spec.User != "" && spec.User != u.Name && spec.User != strconv.Itoa(u.UID) {
			return nil, forbidden("user %q: the slave runs as %q and may not start tasks of another user", spec.User, u.Name)
		}
		return u, nil
	}
	name := spec.User
	if name == "" || spec.Image != nil {
		name = p.cfg.User // who an image's user is, is known once the image is there
	}
	u, err := Lookup(name)
	if err != nil {
		return nil, err
	}
	if u.UID == 0 && !p.cfg.AllowRoot {
		return nil, forbidden("user %q: tasks may not run as user 0 on this slave", name)
	}
	return u, nil
}

func forbidden(format string, args ...any) error {
	return offer.Refuse(offer.ReasonForbidden, fmt.Sprintf(format, args...))
}

func current() (*isolation.User, error) {
	u, err := user.Current()
	if err != nil {
		// A user without an entry in the system's list can still run tasks.
		return &isolation.User{UID: os.Geteuid(), GID: os.Getegid(), Name: strconv.Itoa(os.Geteuid())}, nil
	}
	return convert(u)
}

// maxUser is the number that stands for no user; what is above it would be cut off.
const maxUser = 1<<32 - 1

// Lookup finds a user of this machine by name or number; a number need not be on the machine's list.
func Lookup(name string) (*isolation.User, error) {
	u, err := user.Lookup(name)
	if err == nil {
		return convert(u)
	}
	if id, numeric := strconv.Atoi(name); numeric == nil && id >= 0 && uint64(id) < maxUser {
		if u, err := user.LookupId(name); err == nil {
			return convert(u)
		}
		return &isolation.User{UID: id, GID: id, Name: name}, nil
	}
	if name == "nobody" {
		return &isolation.User{UID: 65534, GID: 65534, Name: name}, nil
	}
	return nil, invalid("user %q: is not known on this machine", name)
}

func convert(u *user.User) (*isolation.User, error) {
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("user %q: has no numeric ids", u.Username)
	}
	out := &isolation.User{UID: uid, GID: gid, Name: u.Username, Home: u.HomeDir}
	ids, _ := u.GroupIds() // without a list of groups, only the primary one
	for _, s := range ids {
		if g, err := strconv.Atoi(s); err == nil && g != gid {
			out.Groups = append(out.Groups, g)
		}
	}
	return out, nil
}
