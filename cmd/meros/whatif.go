package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"github.com/meros-project/meros/internal/recording"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/internal/sim"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// whatIfFlags are the changes that replay tries on a recorded cluster.
type whatIfFlags struct {
	drain      []string
	quotas     []string
	limits     []string
	frameworks []string
	wait       time.Duration

	change sim.WhatIf
}

func (f *whatIfFlags) add(flags *pflag.FlagSet) {
	flags.StringSliceVar(&f.drain, "drain", nil, "what if these slaves were drained: `ids`, with commas; none by default")
	flags.StringArrayVar(&f.quotas, "quota", nil, "what if a role had this guarantee: `ROLE=RESOURCES`, as in web=cpus:8;mem:4096; may be repeated; none by default")
	flags.StringArrayVar(&f.limits, "limit", nil, "what if a role had this limit: `ROLE=RESOURCES`; may be repeated; none by default")
	flags.StringArrayVar(&f.frameworks, "add-framework", nil, "what if there were one more framework: `NAME=ROLE,TASKS,RESOURCES`, as in batch=web,20,cpus:1;mem:256; may be repeated; none by default")
	flags.DurationVar(&f.wait, "for", 30*time.Minute, "how long a what-if goes on, in the cluster's time")
}

func (f *whatIfFlags) any() bool {
	return len(f.drain)+len(f.quotas)+len(f.limits)+len(f.frameworks) > 0
}

// parse reads the values of the flags.
func (f *whatIfFlags) parse() error {
	if f.wait <= 0 {
		return badFlag("for", f.wait.String(), "must be above zero")
	}
	f.change.For = f.wait
	for _, id := range f.drain {
		if _, ok := registry.SlaveNumber(offer.SlaveID(id)); !ok {
			return badFlag("drain", id, "must be ids of slaves, as in s-7,s-8")
		}
		f.change.Drain = append(f.change.Drain, offer.SlaveID(id))
	}
	quota := func(role string) *sim.Quota {
		for i := range f.change.Quotas {
			if f.change.Quotas[i].Role == role {
				return &f.change.Quotas[i]
			}
		}
		f.change.Quotas = append(f.change.Quotas, sim.Quota{Role: role})
		return &f.change.Quotas[len(f.change.Quotas)-1]
	}
	for _, list := range []struct {
		flag   string
		values []string
		set    func(*sim.Quota, resource.Quantities)
	}{
		{"quota", f.quotas, func(q *sim.Quota, to resource.Quantities) { q.Guarantee = to }},
		{"limit", f.limits, func(q *sim.Quota, to resource.Quantities) { q.Limit = to }},
	} {
		for _, v := range list.values {
			role, text, _ := strings.Cut(v, "=")
			to, err := resource.ParseQuantities(text)
			if err != nil || role == "" || text == "" {
				return badFlag(list.flag, v, "must be ROLE=RESOURCES, as in web=cpus:8;mem:4096")
			}
			list.set(quota(role), to)
		}
	}
	for _, v := range f.frameworks {
		name, rest, _ := strings.Cut(v, "=")
		parts := strings.SplitN(rest, ",", 3)
		if name == "" || len(parts) < 3 {
			return badFlag("add-framework", v, "must be NAME=ROLE,TASKS,RESOURCES, as in batch=web,20,cpus:1;mem:256")
		}
		count, err := strconv.Atoi(parts[1])
		if err != nil || count < 1 || count > 100_000 {
			return badFlag("add-framework", v, "must have from 1 to 100000 tasks")
		}
		each, err := resource.Parse(parts[2])
		if err != nil || each.Empty() {
			return badFlag("add-framework", v, "must have resources, as in cpus:1;mem:256")
		}
		f.change.Frameworks = append(f.change.Frameworks, sim.Newcomer{Name: name, Role: parts[0], Count: count, Each: each})
	}
	return nil
}

// run tries the changes on the cluster as the replay has it, and prints who is displaced and who waits.
func (f *whatIfFlags) run(out io.Writer, p *recording.Replay) error {
	outcome, err := sim.Try(p.Core, p.At, f.change)
	if err != nil {
		return usagef("--drain: %v", err)
	}
	fmt.Fprintf(out, "what if, after event %d, at %s; %s later:\n", p.N, stamp(p.At), outcome.Took)
	for _, r := range outcome.Refused {
		fmt.Fprintf(out, "refused: %s\n", r)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	waits := func(list []sim.Fate, title string) (n int) {
		if len(list) > 0 {
			fmt.Fprintln(w, title+"\tFRAMEWORK\tROLE\tRESOURCES\tFROM\tTO\tAFTER")
		}
		for _, t := range list {
			from, to, after := t.From, t.To, t.After.String()
			if from == "" {
				from = "-"
			}
			if to == "" {
				n++
				to, after = "waits", "-"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.Task, t.Framework, t.Role, t.Resources, from, to, after)
		}
		return n
	}
	displaced := waits(outcome.Displaced, "DISPLACED")
	added := waits(outcome.Added, "ADDED")
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d tasks displaced, of which %d wait; %d tasks added, of which %d wait; %d stay where they were to leave\n",
		len(outcome.Displaced), displaced, len(outcome.Added), added, outcome.Staying)
	return err
}
