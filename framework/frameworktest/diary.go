package frameworktest

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/meros-project/meros/internal/message"
)

// maxDiary is how many calls are compared one by one. What comes later is compared as a whole.
const maxDiary = 1 << 16

// A diary is what a scheduler has said in a run. A second one is compared with the first as it is written.
type diary struct {
	first *diary // nil in the first run
	calls []call
	hash  uint64 // of the world at the end
	apart bool   // the runs have parted
}

// A call is what was said, and when.
type call struct {
	at   time.Duration
	sum  uint64
	text string // the beginning of it
}

var seed = maphash.MakeSeed()

func (c call) String() string { return fmt.Sprintf("%v: %s", c.at, c.text) }

// note writes down a call. A nil diary does nothing.
func (d *diary) note(c *Cluster, m message.Message) {
	if d == nil || d.apart || len(d.calls) >= maxDiary {
		return
	}
	text, err := json.Marshal(m)
	if err != nil {
		text = fmt.Append(nil, err)
	}
	const most = 300
	now := call{at: c.Now().Sub(c.began), sum: maphash.Bytes(seed, text), text: "Session." + name(m) + " " + string(text[:min(len(text), most)])}
	d.calls = append(d.calls, now)
	if d.first == nil {
		return
	}
	i := len(d.calls) - 1
	switch {
	case i >= len(d.first.calls):
		d.part(c, "nothing more", now.String())
	case d.first.calls[i].sum != now.sum || d.first.calls[i].at != now.at:
		d.part(c, d.first.calls[i].String(), now.String())
	}
}

// finish compares the ends.
func (d *diary) finish(c *Cluster) {
	if d == nil || d.first == nil || d.apart {
		return
	}
	switch n := len(d.calls); {
	case n < len(d.first.calls):
		d.part(c, d.first.calls[n].String(), "nothing more")
	case d.first.hash != c.Hash():
		d.part(c, fmt.Sprintf("a trace with the hash %x", d.first.hash), fmt.Sprintf("%x, after the same %d calls", c.Hash(), n))
	}
}

func (d *diary) part(c *Cluster, first, second string) {
	d.apart = true
	c.complain("the second run of the seed went another way than the first: does the scheduler, or Config.Runs, ask for the real time (time.Now, "+
		"time.AfterFunc, a context with a deadline: use Session.Now and Session.After), range over a map, draw from a random source without a "+
		"seed, or keep something from one run to the next?\n\tfirst  %s\n\tsecond %s", first, second)
}
