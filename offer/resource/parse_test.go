package resource_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer/resource"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "",
		" ;; ":                                "",
		"cpus:4;mem:8192;ports:[31000-32000]": "cpus:4;mem:8192;ports:[31000-32000]",
		" ports : [ 8080 , 31000 - 32000 ] ;cpus: 4;": "cpus:4;ports:[8080-8080,31000-32000]",
		"cpus:1;cpus:0.5":               "cpus:1.5",
		"gpus:0;cpus:1":                 "cpus:1",
		"ports:[];disks:{};cpus:1":      "cpus:1",
		"disks:{b,a}":                   "disks:{a,b}",
		"disks:{/dev/sda, /dev/sdb}":    "disks:{/dev/sda,/dev/sdb}",
		"cpus(*):1":                     "cpus:1",
		"cpus( ops/db ) : 1;cpus:2":     "cpus:2;cpus(ops/db):1",
		"cpus(a:b):1":                   "cpus(a:b):1",
		"ports(web):[80-81];ports:[82]": "ports:[82-82];ports(web):[80-81]",
		`[{"name":"cpus","type":"SCALAR","scalar":{"value":2}}]`: "cpus:2",
	} {
		r, err := resource.Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, r.String(), text)
		require.NoError(t, r.Validate(resource.Limits{}), text)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"cpus":                         `entry "cpus": must be name:value`,
		"cpus=4":                       `must be name:value`,
		":4":                           `name "": must not be empty`,
		"a/b:4":                        `must not hold`,
		"cpus:":                        `cpus "": must be a decimal number`,
		"cpus:four":                    `cpus "four": must be a decimal number`,
		"cpus:-1":                      `cpus "-1": must not be negative`,
		"cpus:0.0005":                  `cpus "0.0005": must have at most 3 decimals`,
		"cpus(a:4":                     `must be name:value or name(role):value`,
		"cpus(a)4":                     `must be name:value or name(role):value`,
		"cpus():4":                     `role "": must not be empty`,
		"cpus(():4":                    `must not have a parenthesis here`,
		"cpus(-a):4":                   `begins with -`,
		"ports:[1-2":                   `ports "[1-2": must be like`,
		"ports:[1-2-3]":                `must be like`,
		"ports:[-1]":                   `must be like`,
		"ports:[2-1]":                  `must not end before it begins`,
		"ports:[1-5,5-6]":              `ranges must not overlap`,
		"ports:[1-5];ports:[5]":        `ranges must not overlap`,
		"ports:[1-5];ports(a):[5]":     `must not be in two entries`,
		"ports:[99999999999999999999]": `must be like`,
		"ports:{a}":                    `must be of type RANGES`,
		"x:{a;b}":                      `must be like {a,b}`,
		"x:{a,,b}":                     `must be like {a,b}`,
		`x:{"a"}`:                      `must be like {a,b}`,
		"x:1;x:{a}":                    `must not be both`,
		"[1-2]":                        `json`,
	} {
		_, err := resource.Parse(text)
		require.ErrorContains(t, err, want, text)
		var e *resource.Error
		require.ErrorAs(t, err, &e, text)
	}
	require.Panics(t, func() { resource.Must("cpus") })
}

func TestStringOfWhatTheTextFormCannotSay(t *testing.T) {
	r := volume("v1", 64)
	r.Shared, r.SharedCount, r.Volume.ReadOnly, r.Volume.Principal = true, 3, true, "bob"
	text := made(r).String()
	require.Equal(t, "disk{dynamic ops by alice,volume v1 at data read-only by bob,shared x3}:64", text)
	_, err := resource.Parse(text)
	require.ErrorContains(t, err, "must not hold", "what people read is never taken for something else")

	static := resource.NewScalar("cpus", 1000)
	static.Reservations = []resource.Reservation{{Role: "a)(b"}}
	require.Equal(t, "cpus{static a)(b}:1", made(static).String())

	odd := made(resource.NewItems("d", "a,b", " c", "plain"))
	require.Equal(t, `d:{" c","a,b",plain}`, odd.String())
	_, err = resource.Parse(odd.String())
	require.Error(t, err)
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"cpus:4;mem:8192;ports:[31000-32000]", "cpus(ops/db):0.001", "disks:{a,b};x:{}", "ports:[1-2,4]", "a(*):1", "cpus{revocable}:1", "x:{ a,b }",
		`[{"name":"cpus","type":"SCALAR","scalar":{"value":2}}]`, "p:[0-18446744073709551615]", "cpus(a)b):1", ";:;", "F(():1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := resource.Parse(text)
		if err != nil {
			var e *resource.Error
			require.ErrorAs(t, err, &e)
			return
		}
		require.NoError(t, r.Validate(resource.Limits{}))
		if text[:min(len(text), 1)] == "[" || r.Volumes().Len() > 0 || r.Revocable().Len() > 0 {
			return
		}
		again, err := resource.Parse(r.String())
		if err != nil {
			require.Contains(t, text, "[", "only JSON may say what the text form cannot: %v", err)
			return
		}
		require.True(t, r.Equal(again), "%q printed as %q", text, r.String())
		require.Equal(t, r.Key(), again.Key())
	})
}
