package tidy

import (
	"go/ast"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func tree(t *testing.T) []file {
	t.Helper()
	files, err := load(filepath.Join("..", ".."))
	require.NoError(t, err)
	require.Greater(t, len(files), 20, "the tree was not found")
	return files
}

func TestThePureHeartTheDoorsAndTheArrows(t *testing.T) {
	for _, line := range check(tree(t)) {
		t.Error(line)
	}
}

func TestDependenciesDoNotShowInPublicSignatures(t *testing.T) {
	for _, line := range foreignInSignatures(tree(t)) {
		t.Error(line)
	}
}

func TestSlavesAndFrameworksDoNotLinkRaft(t *testing.T) {
	files := tree(t)
	for _, from := range []string{"slave", "framework", "framework/executor"} {
		require.Empty(t, reaches(files, from, "election/raft"), "%s must stay small enough to embed anywhere", from)
	}
}

func TestMasterSlaveAndFrameworkNeverImportEachOther(t *testing.T) {
	files := tree(t)
	shells := []string{"master", "slave", "framework"}
	for _, from := range shells {
		for _, to := range shells {
			if from != to {
				require.Empty(t, reaches(files, from, to), "they meet on the wire only")
			}
		}
	}
}

func TestEveryPackageExplainsItself(t *testing.T) {
	documented, folders := map[string]bool{}, map[string]bool{}
	for _, f := range tree(t) {
		folders[f.pkg] = true
		documented[f.pkg] = documented[f.pkg] || f.syntax.Doc != nil
	}
	for folder := range folders {
		require.True(t, documented[folder], "package %q has no package comment", folder)
	}
}

func TestEveryExportedNameHasASentence(t *testing.T) {
	for _, f := range tree(t) {
		if strings.HasPrefix(f.pkg, "internal/") || strings.HasPrefix(f.pkg, "cmd/") || strings.HasPrefix(f.pkg, "examples/") {
			continue
		}
		for _, decl := range f.syntax.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && (d.Recv == nil || exportedReceiver(d.Recv)) && d.Doc == nil {
					t.Errorf("%s: func %s has no comment", f.name, d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if s, ok := spec.(*ast.TypeSpec); ok && s.Name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						if len(d.Specs) == 1 {
							t.Errorf("%s: type %s has no comment", f.name, s.Name.Name)
						}
					}
				}
			}
		}
	}
}

func TestEveryFieldOfAConfigSaysItsDefaultOrThatItIsRequired(t *testing.T) {
	for _, line := range silentConfigs(tree(t)) {
		t.Error(line)
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x.go"), []byte("package x\ntype Config struct {\n// A is fine. Required.\nA int\n// B.\nB int\n}"), 0o600))
	files, err := load(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"x.go: Config.B: the comment says neither what it defaults to nor that it is required"}, silentConfigs(files))
}

// TestBreachesAreFound proves that the checks can fail.
func TestBreachesAreFound(t *testing.T) {
	for _, c := range []struct{ pkg, source, want string }{
		{"internal/mastercore", `import "os"`, "pure heart"},
		{"internal/mastercore", `import "log/slog"`, "pure heart"},
		{"internal/mastercore", `import "github.com/google/uuid"`, "only data structures"},
		{"internal/mastercore", "import \"time\"\nvar x = time.Now", "time is an argument"},
		{"internal/mastercore", "import \"math/rand/v2\"\nvar x = rand.IntN(3)", "from a seed"},
		{"internal/mastercore", "func f() { go f() }", "go statement"},
		{"internal/mastercore", "var c chan int", "channel"},
		{"internal/mastercore", `import "github.com/meros-project/meros/master"`, "arrows go down"},
		{"slave", `import "github.com/hashicorp/raft"`, "only election/raft"},
		{"master", `import "github.com/vmihailenco/msgpack/v5"`, "only internal/wire"},
		{"brandnew", `import "fmt"`, "has no room"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, filepath.FromSlash(c.pkg))
		require.NoError(t, os.MkdirAll(path, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(path, "x.go"), []byte("package x\n"+c.source), 0o600))
		files, err := load(dir)
		require.NoError(t, err)
		require.Contains(t, strings.Join(check(files), "\n"), c.want, c.source)
	}
}
