package image

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
)

const (
	maxList   = 1 << 20 // bytes of /etc/passwd and of /etc/group that are read
	maxGroups = 64      // of a user
)

// user decides whom a container with an image runs as: whom the task or its framework names, else whom the image names; nil where neither does.
// Names are those of the image, and, where it has none of that name, of the machine. A list that is missing or cannot be read is an empty one.
func (i *Isolator) user(root *os.File, spec *isolation.Spec, s *Settings) (*isolation.User, error) {
	text, whose := spec.User, "user"
	if text == "" {
		text, whose = s.User, "the image's user"
	}
	if text == "" {
		return nil, nil
	}
	name, group, grouped := strings.Cut(text, ":")
	u, err := findUser(root, name)
	if err != nil {
		return nil, refuseUser(offer.ReasonInvalidField, "%s %.100q: %v", whose, text, err)
	}
	if grouped {
		u.Groups = nil
		if u.GID, err = findGroup(root, group); err != nil {
			return nil, refuseUser(offer.ReasonInvalidField, "%s %.100q: %v", whose, text, err)
		}
	}
	if i.cfg.AllowRoot {
		return u, nil
	}
	switch {
	case u.UID == 0:
		return nil, refuseUser(offer.ReasonForbidden, "%s %.100q: tasks may not run as user 0 on this slave", whose, text)
	case u.GID == 0:
		return nil, refuseUser(offer.ReasonForbidden, "%s %.100q: tasks may not run as group 0 on this slave (allowed: another one, as in %d:%d)", whose, text, u.UID, u.UID)
	}
	var groups []int
	for _, g := range u.Groups {
		if g != 0 {
			groups = append(groups, g)
		}
	}
	u.Groups = groups
	return u, nil
}

func refuseUser(reason offer.Reason, format string, args ...any) error {
	return offer.Refuse(reason, fmt.Sprintf(format, args...))
}

// number reads a user's or group's number. The last one stands for none.
func number(text string) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 32)
	return int(n), err == nil && n < 1<<32-1
}

func findUser(root *os.File, name string) (*isolation.User, error) {
	if name == "" {
		return nil, errors.New("is empty (allowed: a name or a number)")
	}
	id, numeric := number(name)
	var found *isolation.User
	eachLine(root, "/etc/passwd", 7, func(f []string) bool {
		uid, ok1 := number(f[2])
		gid, ok2 := number(f[3])
		if ok1 && ok2 && (f[0] == name || numeric && uid == id) {
			found = &isolation.User{UID: uid, GID: gid, Name: f[0], Home: f[5]}
		}
		return found == nil
	})
	switch {
	case found != nil:
		found.Groups = groupsOf(root, found)
		return found, nil
	case numeric:
		return &isolation.User{UID: id, GID: id, Name: name}, nil
	}
	u, err := process.Lookup(name)
	if err != nil {
		return nil, errors.New("is known neither in the image nor on this machine")
	}
	return u, nil
}

func findGroup(root *os.File, name string) (int, error) {
	id, found := number(name)
	if found {
		return id, nil
	}
	eachLine(root, "/etc/group", 4, func(f []string) bool {
		if f[0] == name {
			id, found = number(f[2])
		}
		return !found
	})
	if !found {
		return 0, errors.New("its group is not known in the image (allowed: a number, or a name from there)")
	}
	return id, nil
}

// groupsOf are the groups that a user is in beside its first.
func groupsOf(root *os.File, u *isolation.User) (groups []int) {
	eachLine(root, "/etc/group", 4, func(f []string) bool {
		gid, ok := number(f[2])
		for member := range strings.SplitSeq(f[3], ",") {
			if ok && member == u.Name && gid != u.GID {
				groups = append(groups, gid)
				break
			}
		}
		return len(groups) < maxGroups
	})
	return groups
}

// eachLine calls f with the fields of each line of a list in the image that has so many, until f says that it is enough.
func eachLine(root *os.File, path string, fields int, f func([]string) bool) {
	file, err := openIn(root, path, readOnly)
	if err != nil {
		return
	}
	defer file.Close()
	if st, err := file.Stat(); err != nil || st.Mode()&fs.ModeType != 0 {
		return
	}
	lines := bufio.NewScanner(io.LimitReader(file, maxList))
	for lines.Scan() {
		if list := strings.Split(lines.Text(), ":"); len(list) == fields && !f(list) {
			return
		}
	}
}
