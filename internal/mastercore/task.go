package mastercore

import (
	"encoding/binary"
	"math/bits"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// task is what the leader keeps of one task: one compact record with two pointers, in a page with its neighbours. What only the slave
// needs (command, environment, data) is not kept.
type task struct {
	text  string     // packed: id, name, executor id, number of labels, labels
	extra string     // packed: message and container id of the latest status; often empty
	uuid  offer.UUID // of the latest status
	time  int64      // of the latest status, in nanoseconds since 1970

	framework, slave     uint32
	role, resources      uint32 // handles
	slaveNext, slavePrev uint32 // the tasks of a slave, oldest first
	ownerNext, ownerPrev uint32 // the tasks of a framework; of its ended ones once done
	hash                 uint32
	state, latest        offer.State // as last told to the framework; as the slave knows it
	source               offer.Source
	flags                taskFlags
	reason               offer.Reason
	exitCode             int16
	exitSignal           uint8
	lease                uint16 // in seconds, rounded up; zero: none
	waits                bool   // the latest status has gone to the framework, or was to, and is not acknowledged
}

type taskFlags uint16

const (
	taskLive      taskFlags = 1 << iota // in the lists of its slave and framework
	taskDone                            // ended and acknowledged; in its framework's list of ended ones
	taskHolds                           // the allocator counts its resources
	taskShadow                          // a second task of the same id, on a slave that came back: not in the index, being killed
	taskNamed                           // named by its slave in the registration that is being worked on
	taskHealthy                         // the latest status has a health, and it is good
	taskUnhealthy                       // the latest status has a health, and it is bad
	taskExit                            // exitCode and exitSignal are known
	taskLapsed                          // its framework was told that it is gone; what its slave says of it is for this master only
)

// epoch is the beginning of 1970.
var epoch = time.Time{}.AddDate(1969, 0, 0)

// list is a doubly linked list through task records; 0 is the end.
type list struct {
	head, tail uint32
	count      int
}

// taskTable holds all tasks, with an index by framework and id.
type taskTable struct {
	records   pages[task]
	free      []uint32
	next      uint32
	index     []uint32 // open addressing by hash; 0 is empty
	indexed   int
	seed      uint64
	labels    labelTable
	roles     nameTable
	resources resourceTable
	scratch   []byte
}

func newTaskTable(seed uint64) taskTable {
	return taskTable{next: 1, index: make([]uint32, 1024), seed: seed, labels: newLabelTable(),
		roles: nameTable{interner: newInterner[struct{}]()}, resources: resourceTable{interner: newInterner[resource.Resources]()}}
}

// hashBytes is a keyed hash, so that a framework cannot choose ids that collide.
func hashBytes[B ~string | ~[]byte](seed uint64, b B) uint64 {
	const a, m = 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93
	h := seed ^ uint64(len(b))*a
	for i := 0; i < len(b); i += 8 {
		var w uint64
		for j := i; j < i+8 && j < len(b); j++ {
			w |= uint64(b[j]) << (8 * (j - i))
		}
		hi, lo := bits.Mul64(h^w^a, w^seed|m)
		h = hi ^ lo ^ bits.RotateLeft64(h, 29)
	}
	hi, lo := bits.Mul64(h^m, a)
	return hi ^ lo
}

func (t *taskTable) hash(framework uint32, id offer.TaskID) uint32 {
	return uint32(hashBytes(t.seed^uint64(framework)*0x9e3779b97f4a7c15, id))
}

// find returns the slot of a framework's task, or 0. Ended ones are not found.
func (t *taskTable) find(framework uint32, id offer.TaskID) uint32 {
	mask := uint32(len(t.index) - 1)
	h := t.hash(framework, id)
	for at := h & mask; t.index[at] != 0; at = (at + 1) & mask {
		r := t.records.get(t.index[at])
		if r.hash == h && r.framework == framework && r.id() == id {
			return t.index[at]
		}
	}
	return 0
}

func (t *taskTable) enter(slot uint32) {
	if (t.indexed+1)*8 > len(t.index)*7 {
		old := t.index
		t.index = make([]uint32, 2*len(old))
		for _, s := range old {
			if s != 0 {
				t.place(s)
			}
		}
	}
	t.place(slot)
	t.indexed++
}

func (t *taskTable) place(slot uint32) {
	mask := uint32(len(t.index) - 1)
	at := t.records.get(slot).hash & mask
	for t.index[at] != 0 {
		at = (at + 1) & mask
	}
	t.index[at] = slot
}

// leave takes a slot out of the index and closes the gap, so that no marker of a deleted entry is needed.
func (t *taskTable) leave(slot uint32) {
	mask := uint32(len(t.index) - 1)
	at := t.records.get(slot).hash & mask
	for t.index[at] != slot {
		if t.index[at] == 0 {
			return
		}
		at = (at + 1) & mask
	}
	t.indexed--
	for next := (at + 1) & mask; ; next = (next + 1) & mask {
		s := t.index[next]
		if s == 0 {
			break
		}
		home := t.records.get(s).hash & mask
		if (next-home)&mask >= (next-at)&mask {
			t.index[at] = s
			at = next
		}
	}
	t.index[at] = 0
}

// pack makes the record of a task. The caller links and indexes it.
func (t *taskTable) pack(framework, slave uint32, role string, d *offer.Task, executor offer.ExecutorID) uint32 {
	b := appendString(t.scratch[:0], string(d.ID))
	b = appendName(b, d)
	b = appendString(b, string(executor))
	b = binary.AppendUvarint(b, uint64(len(d.Labels)))
	for _, l := range d.Labels {
		b = t.labels.append(b, l, t.seed)
	}
	t.scratch = b
	slot := t.next
	if n := len(t.free); n > 0 {
		slot, t.free = t.free[n-1], t.free[:n-1]
	} else {
		t.next++
	}
	*t.records.mut(slot) = task{text: string(b), framework: framework, slave: slave, role: t.roles.intern(role),
		resources: t.resources.intern(d.Resources), hash: t.hash(framework, d.ID), lease: leaseSeconds(d.Lease), state: offer.Staging, latest: offer.Staging}
	return slot
}

// drop frees a record that is in no list and not indexed.
func (t *taskTable) drop(slot uint32) {
	r := t.records.mut(slot)
	t.roles.release(r.role)
	t.resources.release(r.resources)
	for h := range labelHandles(r.text) {
		t.labels.release(h)
	}
	*r = task{}
	t.free = append(t.free, slot)
}

// appendName writes a task's name: nothing but a zero if it is the id, as it often is.
func appendName(dst []byte, d *offer.Task) []byte {
	if d.Name == string(d.ID) {
		return append(dst, 0)
	}
	return append(binary.AppendUvarint(dst, uint64(len(d.Name))+1), d.Name...)
}

// cutHead reads what a packed description begins with. The rest are the labels.
func cutHead(text string) (id, name, executor, labels string) {
	id, rest, _ := cutString(text)
	n, rest := cutNumber(rest)
	name = id
	if n > 0 {
		name, rest = rest[:n-1], rest[n-1:]
	}
	executor, labels, _ = cutString(rest)
	return id, name, executor, labels
}

// labelHandles ranges over the interned parts of the labels of a packed description.
func labelHandles(text string) func(func(uint32) bool) {
	return func(yield func(uint32) bool) {
		_, _, _, labels := cutHead(text)
		n, rest := cutNumber(labels)
		for ; n > 0; n-- {
			var h uint32
			if _, h, rest = cutLabel(rest, nil); h != 0 && !yield(h) {
				return
			}
		}
	}
}

func (r *task) id() offer.TaskID {
	id, _, _ := cutString(r.text)
	return offer.TaskID(id)
}

func (r *task) has(f taskFlags) bool { return r.flags&f != 0 }

// describe unpacks the description.
func (r *task) describe(p *pages[interned[struct{}]]) (id offer.TaskID, name string, executor offer.ExecutorID, out []resource.Label) {
	first, name, exec, labels := cutHead(r.text)
	n, rest := cutNumber(labels)
	if n > 0 {
		out = make([]resource.Label, 0, n)
	}
	for ; n > 0; n-- {
		var l resource.Label
		l, _, rest = cutLabel(rest, p)
		out = append(out, l)
	}
	return offer.TaskID(first), name, offer.ExecutorID(exec), out
}

func (r *task) executor() offer.ExecutorID {
	_, _, exec, _ := cutHead(r.text)
	return offer.ExecutorID(exec)
}

// setStatus keeps what state queries and reconciliation need of a status.
func (r *task) setStatus(st *offer.Status, latest offer.State) {
	r.state, r.latest, r.source, r.reason, r.uuid = st.State, latest, st.Source, st.Reason, st.UUID
	r.time = 0
	if !st.Time.IsZero() {
		r.time = st.Time.UnixNano()
	}
	r.flags &^= taskHealthy | taskUnhealthy | taskExit
	if st.Healthy != nil {
		if *st.Healthy {
			r.flags |= taskHealthy
		} else {
			r.flags |= taskUnhealthy
		}
	}
	if st.Exit != nil {
		r.flags |= taskExit
		r.exitCode, r.exitSignal = int16(st.Exit.Code), uint8(st.Exit.Signal)
	}
	container := ""
	if st.Container != nil {
		container = st.Container.ID
	}
	if st.Message == "" && container == "" && st.Check == nil {
		r.extra = ""
		return
	}
	const most = 4096 // of a message; the framework gets all of it, state queries the beginning
	var room [64]byte
	extra := append(appendContainer(appendResult(room[:0], st.Check), container), st.Message[:min(len(st.Message), most)]...)
	if string(extra) != r.extra { // a task's next status often has nothing new here
		r.extra = string(extra)
	}
}

// appendContainer writes a container's id; as 16 bytes if it is a UUID, as a slave's are.
func appendContainer(dst []byte, id string) []byte {
	if u, ok := packUUID(id); ok {
		return append(append(dst, 1), u[:]...)
	}
	return appendString(append(dst, 0), id)
}

// packUUID reads the one spelling of a UUID that its String writes.
func packUUID(s string) (u offer.UUID, ok bool) {
	if len(s) != 36 {
		return u, false
	}
	bad := s[8] ^ '-' | s[13] ^ '-' | s[18] ^ '-' | s[23] ^ '-'
	for i, at := range uuidDigits {
		high, low := hexDigits[s[at]], hexDigits[s[at+1]]
		u[i] = high<<4 | low&0xf
		bad |= (high | low) & 0xf0
	}
	if bad != 0 {
		return offer.UUID{}, false
	}
	return u, true
}

// uuidDigits is where the two digits of each byte of a UUID begin.
var uuidDigits = [16]uint8{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

// hexDigits is the value of each lower-case digit, and 0xff for all that is none.
var hexDigits = func() (t [256]uint8) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range uint8(10) {
		t['0'+i] = i
	}
	for i := range uint8(6) {
		t['a'+i] = 10 + i
	}
	return t
}()

func cutContainer(packed string) (id, rest string) {
	switch {
	case packed == "":
		return "", ""
	case packed[0] == 1:
		return offer.UUID([]byte(packed[1:17])).String(), packed[17:]
	}
	id, rest, _ = cutString(packed[1:])
	return id, rest
}

// status rebuilds the latest status as the master tells it.
func (r *task) status(slaveID offer.SlaveID) offer.Status {
	check, rest := cutResult(r.extra)
	container, message := cutContainer(rest)
	st := offer.Status{TaskID: r.id(), SlaveID: slaveID, ExecutorID: r.executor(), State: r.state, Source: r.source, Reason: r.reason,
		Message: message, UUID: r.uuid, Check: check}
	if r.time != 0 {
		st.Time = epoch.Add(time.Duration(r.time))
	}
	if container != "" {
		st.Container = &offer.Container{ID: container}
	}
	if r.has(taskHealthy | taskUnhealthy) {
		healthy := r.has(taskHealthy)
		st.Healthy = &healthy
	}
	if r.has(taskExit) {
		st.Exit = &offer.Exit{Code: int(r.exitCode), Signal: int(r.exitSignal)}
	}
	return st
}

func (t *taskTable) pushSlave(l *list, slot uint32) {
	r := t.records.mut(slot)
	r.slaveNext, r.slavePrev = 0, l.tail
	if l.tail != 0 {
		t.records.mut(l.tail).slaveNext = slot
	} else {
		l.head = slot
	}
	l.tail = slot
	l.count++
}

func (t *taskTable) cutSlave(l *list, slot uint32) {
	r := t.records.mut(slot)
	if r.slavePrev != 0 {
		t.records.mut(r.slavePrev).slaveNext = r.slaveNext
	} else {
		l.head = r.slaveNext
	}
	if r.slaveNext != 0 {
		t.records.mut(r.slaveNext).slavePrev = r.slavePrev
	} else {
		l.tail = r.slavePrev
	}
	r.slaveNext, r.slavePrev = 0, 0
	l.count--
}

func (t *taskTable) pushOwner(l *list, slot uint32) {
	r := t.records.mut(slot)
	r.ownerNext, r.ownerPrev = 0, l.tail
	if l.tail != 0 {
		t.records.mut(l.tail).ownerNext = slot
	} else {
		l.head = slot
	}
	l.tail = slot
	l.count++
}

func (t *taskTable) cutOwner(l *list, slot uint32) {
	r := t.records.mut(slot)
	if r.ownerPrev != 0 {
		t.records.mut(r.ownerPrev).ownerNext = r.ownerNext
	} else {
		l.head = r.ownerNext
	}
	if r.ownerNext != 0 {
		t.records.mut(r.ownerNext).ownerPrev = r.ownerPrev
	} else {
		l.tail = r.ownerPrev
	}
	r.ownerNext, r.ownerPrev = 0, 0
	l.count--
}
