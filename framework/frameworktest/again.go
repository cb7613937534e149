package frameworktest

import (
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

var onlySeed = flag.Uint64("meros.seed", 0, "run the simulated clusters of frameworktest with this seed only")

// again is the line that runs a test with one seed: it works in any folder of the module.
func again(test string, seed uint64) string {
	var names []string
	for name := range strings.SplitSeq(test, "/") {
		names = append(names, "^"+regexp.QuoteMeta(name)+"$")
	}
	quoted := strings.ReplaceAll(strings.Join(names, "/"), "'", `'\''`)
	return fmt.Sprintf("go test -run '%s' %s -meros.seed=%d", quoted, importPath(), seed)
}

var moduleLine = regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)`)

// importPath is that of the package under test, whose folder go test makes the working directory; "." where no go.mod is found above it.
func importPath() string {
	dir, err := os.Getwd()
	if err != nil {
		return "."
	}
	for above := ""; ; dir = filepath.Dir(dir) {
		if text, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil {
			if m := moduleLine.FindSubmatch(text); m != nil {
				return path.Join(string(m[1]), above)
			}
		}
		if filepath.Dir(dir) == dir {
			return "."
		}
		above = path.Join(filepath.Base(dir), above)
	}
}
