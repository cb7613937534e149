package offer

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStreamsHaveBounds(t *testing.T) {
	for _, good := range []*Streams{nil, {}, {Stdin: true, Terminal: &TerminalSize{}}, {OutputBytes: 4096, OutputFiles: 100}, {OutputBytes: 1 << 40, OutputFiles: -1}} {
		require.NoError(t, ValidateStreams(good))
	}
	for text, bad := range map[string]Streams{
		"streams.outputBytes 4095: must be zero or from 4096 to 1099511627776":          {OutputBytes: 4095},
		"streams.outputBytes -1: must be zero or from 4096 to 1099511627776":            {OutputBytes: -1},
		"streams.outputBytes 1099511627777: must be zero or from 4096 to 1099511627776": {OutputBytes: 1<<40 + 1},
		"streams.outputFiles 101: must be at most 100":                                  {OutputFiles: 101},
	} {
		require.EqualError(t, ValidateStreams(&bad), text)
	}
}
