package main

import (
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

func TestEveryFlagIsDescribedWithItsDefault(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		require.NotEmpty(t, cmd.Short, cmd.Name())
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			require.NotEmpty(t, f.Usage, "%s --%s", cmd.Name(), f.Name)
			switch f.DefValue {
			case "", "0", "0s", "[]": // not shown by itself
				require.Regexp(t, `default|required`, f.Usage, "%s --%s must say what happens without it", cmd.Name(), f.Name)
			}
		})
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newRoot())
}

func TestHelpIsTheSameBothWays(t *testing.T) {
	for _, cmd := range newRoot().Commands() {
		asFlag, _, code := meros(t, cmd.Name(), "--help")
		require.Zero(t, code)
		asCommand, _, code := meros(t, "help", cmd.Name())
		require.Zero(t, code)
		require.Equal(t, asFlag, asCommand)
		cmd.InitDefaultHelpFlag()
		cmd.Flags().VisitAll(func(f *pflag.Flag) { require.Contains(t, asFlag, "--"+f.Name, cmd.Name()) })
	}
}
