package electiontest

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// A history is what was proposed and what the proposers were told.
type history struct {
	t0  time.Time
	mu  sync.Mutex
	ops []*operation
}

// An operation is one proposal.
type operation struct {
	reign     uint64
	entry     string
	call, end time.Duration // end is zero while nothing was told
	told      int
	result    any
	err       error
}

func (h *history) begin(reign uint64, entry string) *operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	op := &operation{reign: reign, entry: entry, call: time.Since(h.t0)}
	h.ops = append(h.ops, op)
	return op
}

// end notes the outcome and returns how often one was told.
func (h *history) end(op *operation, result any, err error) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if op.told++; op.told == 1 {
		op.end, op.result, op.err = time.Since(h.t0), result, err
	}
	return op.told
}

// verify compares the history with what the masters applied, all of which have ended.
func (c *cluster) verify() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	c.require(c.twice == "", "%s", c.twice)
	longest := c.sameOrder()
	at := c.onlyInTheirReign(longest)
	c.truth(at)
	c.linear()
}

// sameOrder checks that what each master applied in each life is the beginning of one log, and returns it.
func (c *cluster) sameOrder() []string {
	if c.nodes[0].Forgets { // each life is a log of its own, and there is nothing to compare it with
		c.logs = c.logs[len(c.logs)-len(c.nodes):]
	}
	var longest []string
	for _, log := range c.logs {
		if len(log) > len(longest) {
			longest = log
		}
	}
	for _, log := range c.logs {
		for i := range log {
			c.require(log[i] == longest[i], "two masters applied different entries as number %d: %.60q and %.60q", i, log[i], longest[i])
		}
	}
	return longest
}

// onlyInTheirReign checks that what was proposed in a reign was committed in that reign, and returns how often each entry was.
func (c *cluster) onlyInTheirReign(log []string) map[string]int {
	by := map[string][]uint64{} // an entry may be proposed again in a later reign
	for _, op := range c.history.ops {
		by[op.entry] = append(by[op.entry], op.reign)
	}
	at := map[string]int{}
	reign := uint64(0)
	for _, line := range log {
		if number, ok := strings.CutPrefix(line, openingLine); ok {
			reign, _ = strconv.ParseUint(number, 10, 64)
			continue
		}
		at[line]++
		c.require(slices.Contains(by[line], reign), "%.60q was committed in reign %d, and proposed in %v", line, reign, by[line])
	}
	return at
}

// truth checks each outcome against how often the entry was committed.
func (c *cluster) truth(at map[string]int) {
	kept := map[string]int{}
	perhaps := map[string]int{}
	for _, op := range c.history.ops {
		c.require(op.told == 1, "%.60q has %d outcomes", op.entry, op.told)
		switch {
		case op.err == nil:
			kept[op.entry]++
		case isUnknown(op.err):
			perhaps[op.entry]++
		default:
			c.require(isDeposed(op.err) || isTooLarge(op.err), "an outcome that is none: %v", op.err)
		}
	}
	if c.nodes[0].Forgets {
		return // the log of an earlier life is gone
	}
	for _, op := range c.history.ops {
		n, sure := at[op.entry], kept[op.entry]
		c.require(n >= sure, "%.60q was said to be committed, and was not", op.entry)
		c.require(n <= sure+perhaps[op.entry], "%.60q was said not to be committed, and was", op.entry)
	}
}

// linear checks that the swaps can have happened one after the other, each between its call and its outcome.
func (c *cluster) linear() {
	byKey := map[string][]porcupine.Operation{}
	var keys []string
	for _, op := range c.history.ops {
		fields := strings.Fields(op.entry)
		if !strings.HasPrefix(op.entry, swapPrefix) || op.err != nil && !isUnknown(op.err) {
			continue
		}
		end := int64(op.end)
		if op.err != nil {
			end = math.MaxInt64 // it may happen at any later time, or never
		}
		if byKey[fields[1]] == nil {
			keys = append(keys, fields[1])
		}
		byKey[fields[1]] = append(byKey[fields[1]], porcupine.Operation{Input: swap{fields[2], op}, Call: int64(op.call), Return: end})
	}
	for _, key := range keys {
		answer := porcupine.CheckOperationsTimeout(swapModel, byKey[key], 2*c.patience)
		c.require(answer == porcupine.Ok, "the %d swaps of %s cannot have happened one after the other (%v)%s", len(byKey[key]), key, answer, swaps(byKey[key]))
	}
}

// A swap puts value in the place of what it was told was there.
type swap struct {
	value string
	op    *operation
}

var swapModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		s := input.(swap)
		return s.op.err != nil || s.op.result == state, s.value
	},
}

func swaps(ops []porcupine.Operation) string {
	var b strings.Builder
	for _, o := range ops[max(0, len(ops)-40):] {
		s := o.Input.(swap)
		fmt.Fprintf(&b, "\n  %v to %v: %v became %s (%v)", s.op.call, s.op.end, s.op.result, s.value, s.op.err)
	}
	return b.String()
}
