package isolationtest

import (
	"os"
	"testing"
)

// NeedsRoot skips a test that only user 0 can run, and prints why. Where the environment says CI=true such a test must run: there it
// fails instead.
func NeedsRoot(t testing.TB) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("CI") == "true":
		t.Fatalf("needs root, and this is CI, where everything runs: the test runs as user %d", os.Geteuid())
	default:
		t.Skipf("needs root: the test runs as user %d", os.Geteuid())
	}
}
