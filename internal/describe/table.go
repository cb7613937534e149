// Package describe prints the state of cores as tables, for scenarios and for operators.
package describe

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
)

// Table appends rows to b, sorted, in aligned columns below head; nothing if there are no rows. Lines do not end in spaces.
func Table(b *strings.Builder, head []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	slices.SortFunc(rows, slices.Compare[[]string])
	var raw strings.Builder
	w := tabwriter.NewWriter(&raw, 0, 0, 2, ' ', 0)
	for _, r := range append([][]string{head}, rows...) {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	w.Flush()
	for line := range strings.Lines(raw.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
}

// Dash returns s, or a dash in place of nothing.
func Dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
