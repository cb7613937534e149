package resource_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer/resource"
)

const fullJSON = `[` +
	`{"name":"cpus","type":"SCALAR","scalar":{"value":0.1}},` +
	`{"name":"cpus","type":"SCALAR","scalar":{"value":9007199254740.991},"revocable":{}},` +
	`{"name":"disk","type":"SCALAR","scalar":{"value":64},"reservations":[{"type":"STATIC","role":"ops"},` +
	`{"type":"DYNAMIC","role":"ops/db","principal":"alice","labels":{"labels":[{"key":"k","value":"v"}]}}],` +
	`"disk":{"persistence":{"id":"v1","principal":"bob"},"volume":{"container_path":"data","mode":"RO"}},"shared":{}},` +
	`{"name":"disks","type":"SET","set":{"item":["a","b"]}},` +
	`{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":1,"end":2},{"begin":31000,"end":32000}]}}]`

func TestJSONRoundTrip(t *testing.T) {
	var r resource.Resources
	require.NoError(t, json.Unmarshal([]byte(fullJSON), &r))
	out, err := json.Marshal(r)
	require.NoError(t, err)
	require.Equal(t, fullJSON, string(out))
	require.Equal(t, resource.MaxScalar, r.Revocable().CPUs())
	out, err = json.Marshal(resource.Resources(nil))
	require.NoError(t, err)
	require.Equal(t, "[]", string(out))
}

func TestJSONKeepsTheCountOfASharedVolume(t *testing.T) {
	three := shared("v", 3)
	out, err := json.Marshal(three)
	require.NoError(t, err)
	require.Equal(t, 3, strings.Count(string(out), `"v"`))
	var back resource.Resources
	require.NoError(t, json.Unmarshal(out, &back))
	require.True(t, back.Equal(three))
}

func TestJSONReadsTheOlderFormsOfMesos(t *testing.T) {
	for in, want := range map[string]string{
		`[{"name":"cpus","type":"SCALAR","scalar":{"value":4.0},"role":"*","allocation_info":{"role":"a"}}]`: "cpus:4",
		`[{"name":"cpus","type":"SCALAR","scalar":{"value":4},"role":"a"}]`:                                  "cpus(a):4",
		`[{"name":"cpus","type":"SCALAR","scalar":{"value":4},"role":"a","reservation":{"principal":"p"}}]`:  "cpus{dynamic a by p}:4",
		`[{"name":"gpus","type":"SCALAR","scalar":{"value":0}}]`:                                             "",
		` [ ] `: "",
	} {
		var r resource.Resources
		require.NoError(t, json.Unmarshal([]byte(in), &r), in)
		require.Equal(t, want, r.String())
	}
}

func TestJSONRefuses(t *testing.T) {
	for in, want := range map[string]string{
		`{}`:             "must be a",
		`[{"name":1}]`:   "name",
		`[{"nmae":"x"}]`: `unknown field "nmae"`,
		`[{"name":"disk","type":"SCALAR","scalar":{"value":1},"disk":{"source":{"type":"RAW"}}}]`: `unknown field "source"`,
		`[{"name":"cpus","type":"FLOAT"}]`:                                                                                              `[0].type "FLOAT": must be SCALAR`,
		`[{"name":"cpus","type":"SCALAR"}]`:                                                                                             "scalar.value: is missing",
		`[{"name":"cpus","type":"SCALAR","scalar":{}}]`:                                                                                 "scalar.value: is missing",
		`[{"name":"cpus","type":"SCALAR","scalar":{"value":1e3}}]`:                                                                      "without sign or exponent",
		`[{"name":"cpus","type":"SCALAR","scalar":{"value":-1}}]`:                                                                       "must not be negative",
		`[{"name":"cpus","type":"SCALAR","scalar":{"value":0.0005}}]`:                                                                   "at most 3 decimals",
		`[{"name":"cpus","type":"SCALAR","scalar":{"value":"1"}}]`:                                                                      "decimal number",
		`[{"name":"cpus","type":"SCALAR","scalar":{"value":1},"set":{"item":["a"]}}]`:                                                   "no value but that of its type",
		`[{"name":"ports","type":"RANGES"}]`:                                                                                            "ranges: is missing",
		`[{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":1}]}}]`:                                                           "must have begin and end",
		`[{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":1.5,"end":2}]}}]`:                                                 "begin",
		`[{"name":"ports","type":"RANGES","ranges":{"range":[{"begin":-1,"end":2}]}}]`:                                                  "begin",
		`[{"name":"d","type":"SET"}]`:                                                                                                   "set: is missing",
		`[{"name":"cpus","type":"SCALAR","scalar":{"value":1},"shared":{}}]`:                                                            "only a persistent volume",
		`[{"name":"cpus","type":"SCALAR","scalar":{"value":1},"reservations":[{"type":"ODD","role":"a"}]}]`:                             `reservations[0].type "ODD"`,
		`[{"name":"cpus","type":"SCALAR","scalar":{"value":1},"role":"a","reservations":[{"type":"STATIC","role":"a"}]}]`:               "must not be mixed",
		`[{"name":"cpus","type":"SCALAR","scalar":{"value":1},"reservation":{}}]`:                                                       "must name the role",
		`[{"name":"disk","type":"SCALAR","scalar":{"value":1},"role":"a","disk":{"persistence":{"id":"v"}}}]`:                           "both persistence and volume",
		`[{"name":"disk","type":"SCALAR","scalar":{"value":1},"role":"a","disk":{"persistence":{"id":"v"},"volume":{"mode":"WRONG"}}}]`: `"WRONG": must be RW or RO`,
	} {
		r := resource.Must("mem:1")
		err := json.Unmarshal([]byte(in), &r)
		require.ErrorContains(t, err, want, in)
		var e *resource.Error
		require.ErrorAs(t, err, &e, in)
		require.Equal(t, "mem:1", r.String(), "a refused value leaves the receiver alone")
	}
	var r resource.Resources
	require.ErrorContains(t, r.UnmarshalJSON([]byte(`[] []`)), "must not follow the array")
	require.ErrorContains(t, r.UnmarshalJSON([]byte(`[`)), "json")
	require.ErrorContains(t, r.UnmarshalJSON(make([]byte, resource.MaxTextBytes+1)), "must be at most")
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(fullJSON))
	f.Add([]byte(`[{"name":"cpus","type":"SCALAR","scalar":{"value":4.0},"role":"a","reservation":{"labels":{"labels":[{"key":"b"},{"key":"a"}]}}}]`))
	f.Add([]byte(`[{"name":"d","type":"SET","set":{"item":["b","a"]}},null]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r resource.Resources
		if err := json.Unmarshal(data, &r); err != nil {
			return
		}
		require.NoError(t, r.Validate(resource.Limits{}))
		out, err := json.Marshal(r)
		require.NoError(t, err)
		var again resource.Resources
		require.NoError(t, json.Unmarshal(out, &again))
		require.True(t, r.Equal(again), "%s became %s", r, again)
		twice, err := json.Marshal(again)
		require.NoError(t, err)
		require.Equal(t, string(out), string(twice))
	})
}
