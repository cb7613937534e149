package isolation_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
)

// program is an isolator that says what to start, and quota one that says by whose rules.
type program struct{}

func (program) Name() string { return "program" }

func (program) Prepare(_ context.Context, spec *isolation.Spec, plan *isolation.Plan) error {
	plan.Argv = append([]string{spec.Command.Value}, spec.Command.Arguments...)
	plan.Directory = spec.Sandbox
	return nil
}
func (program) Attach(context.Context, string, int) error { return nil }
func (program) Cleanup(context.Context, string) error     { return nil }

type quota struct{ program }

func (quota) Name() string { return "quota" }

func (quota) Prepare(_ context.Context, _ *isolation.Spec, plan *isolation.Plan) error {
	plan.Setenv("LANG", "C")
	plan.Rlimits = append(plan.Rlimits, isolation.Rlimit{Name: "nproc", Soft: 64, Hard: 64, AtMost: true})
	return nil
}

// Isolators in a chain add to one plan, in order. Each knows one thing.
func ExampleChain() {
	chain := isolation.Chain{program{}, quota{}}
	spec := &isolation.Spec{Container: "c-1", Command: &offer.Command{Value: "/bin/ls", Arguments: []string{"-l"}}, Sandbox: "/var/lib/meros/c-1"}
	plan := &isolation.Plan{}
	fmt.Println(chain.Validate(), chain.Prepare(context.Background(), spec, plan))
	fmt.Println(plan.Argv, "in", plan.Directory, "with", plan.Environment, plan.Rlimits)
	fmt.Println(isolation.Chain{quota{}, quota{}}.Validate())
	// Output:
	// <nil> <nil>
	// [/bin/ls -l] in /var/lib/meros/c-1 with [LANG=C] [{nproc 64 64 true}]
	// isolation[1]: a second isolator named "quota"
}

// When one of a chain fails, what the others have prepared is cleaned up, the last first.
func ExampleChain_Prepare() {
	log := &isolationtest.Log{}
	chain := isolation.Chain{
		&isolationtest.Isolator{ID: "memory", Log: log},
		&isolationtest.Isolator{ID: "disk", Log: log, Fail: map[string]error{"prepare": errors.New("no space left")}},
	}
	fmt.Println(chain.Prepare(context.Background(), &isolation.Spec{Container: "c-1"}, &isolation.Plan{}))
	for _, line := range log.Take() {
		fmt.Println(line)
	}
	// Output:
	// isolator disk: no space left
	// memory prepare c-1
	// disk prepare c-1
	// disk cleanup c-1
	// memory cleanup c-1
}
