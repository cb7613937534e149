package tidy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// A file is one source file of the tree, tests excepted.
type file struct {
	pkg     string // folder relative to the root; "" for the root itself
	name    string
	syntax  *ast.File
	imports map[string]string // local name -> import path
}

// load parses every Go file of the module at root, but for tests, testdata and nested modules.
func load(root string) ([]file, error) {
	var files []file
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		if d.IsDir() {
			base := d.Name()
			if rel != "." && (base == "testdata" || base == "tools" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		syntax, err := parser.ParseFile(fset, p, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		f := file{pkg: filepath.ToSlash(filepath.Dir(rel)), name: filepath.ToSlash(rel), syntax: syntax, imports: map[string]string{}}
		if f.pkg == "." {
			f.pkg = ""
		}
		for _, spec := range syntax.Imports {
			target, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			local := path.Base(target)
			if strings.HasPrefix(local, "v") && len(local) <= 3 {
				local = path.Base(path.Dir(target))
			}
			if spec.Name != nil {
				local = spec.Name.Name
			}
			f.imports[local] = target
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

// check returns a line for each breach of the three laws, each with its reason.
func check(files []file) []string {
	var bad []string
	for _, f := range files {
		r, ok := roomOf(f.pkg)
		if !ok {
			bad = append(bad, fmt.Sprintf("%s: folder %q has no room in internal/tidy/rules.go: decide what it may import and add it", f.name, f.pkg))
			continue
		}
		for _, target := range f.imports {
			bad = append(bad, checkImport(f, r, target)...)
		}
		if r.pure {
			bad = append(bad, checkCalls(f)...)
		}
	}
	return bad
}

func checkImport(f file, r room, target string) []string {
	var bad []string
	refuse := func(why string) { bad = append(bad, fmt.Sprintf("%s imports %s: %s", f.name, target, why)) }
	if own, ok := ownPackage(target); ok {
		allowed := own == f.pkg
		for _, p := range r.ours {
			allowed = allowed || matches(p, own)
		}
		if !allowed {
			refuse("arrows go down: vocabulary <- cores <- shells <- applications; allowed here: " + strings.Join(r.ours, " "))
		}
		return bad
	}
	if standard(target) {
		if r.pure && (under(target, pureForbidden) || strings.HasPrefix(target, "log/")) {
			refuse("pure heart: what decides has no clock, I/O, goroutine, lock, logger or global")
		}
		return bad
	}
	if r.pure && !under(target, pureForeign) {
		refuse("pure heart: only data structures without I/O: " + strings.Join(pureForeign, " "))
	}
	for _, other := range rooms {
		if under(target, other.doors) && !under(target, r.doors) {
			refuse("one door per dependency: only " + other.path + " may import it")
		}
	}
	return bad
}

// checkCalls looks for selections such as time.Now in a pure file, and for go statements and channels.
func checkCalls(f file) []string {
	var bad []string
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			bad = append(bad, f.name+": a go statement in the pure heart: decisions are made on the caller's goroutine")
		case *ast.ChanType:
			bad = append(bad, f.name+": a channel in the pure heart: events go in, effects come out")
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if !ok {
				return true
			}
			for _, name := range pureCalls[f.imports[x.Name]] {
				if n.Sel.Name == name {
					bad = append(bad, fmt.Sprintf("%s uses %s.%s: pure heart: time is an argument, randomness comes from a seed in the config", f.name, x.Name, name))
				}
			}
		}
		return true
	})
	return bad
}

func ownPackage(target string) (string, bool) {
	if target == module {
		return "", true
	}
	return strings.CutPrefix(target, module+"/")
}

// reaches reports the chain of our packages by which from comes to import to, or nil.
func reaches(files []file, from, to string) []string {
	edges := map[string]map[string]bool{}
	for _, f := range files {
		if edges[f.pkg] == nil {
			edges[f.pkg] = map[string]bool{}
		}
		for _, target := range f.imports {
			if own, ok := ownPackage(target); ok {
				edges[f.pkg][own] = true
			}
		}
	}
	seen := map[string]bool{}
	var walk func(at string) []string
	walk = func(at string) []string {
		if at == to {
			return []string{at}
		}
		if seen[at] {
			return nil
		}
		seen[at] = true
		for next := range edges[at] {
			if rest := walk(next); rest != nil {
				return append([]string{at}, rest...)
			}
		}
		return nil
	}
	return walk(from)
}

// foreignInSignatures lists exported declarations of the public packages whose types mention a package behind a door.
func foreignInSignatures(files []file) []string {
	var doors []string
	for _, r := range rooms {
		doors = append(doors, r.doors...)
	}
	var bad []string
	for _, f := range files {
		if strings.HasPrefix(f.pkg, "internal/") || strings.HasPrefix(f.pkg, "cmd/") {
			continue
		}
		for _, decl := range f.syntax.Decls {
			for _, part := range publicParts(decl) {
				ast.Inspect(part, func(n ast.Node) bool {
					sel, ok := n.(*ast.SelectorExpr)
					if !ok {
						return true
					}
					if x, ok := sel.X.(*ast.Ident); ok && under(f.imports[x.Name], doors) {
						bad = append(bad, fmt.Sprintf("%s: %s.%s in a public signature: a dependency's types stay behind its door", f.name, x.Name, sel.Sel.Name))
					}
					return true
				})
			}
		}
	}
	return bad
}

// publicParts returns the type expressions of a declaration that users can see.
func publicParts(decl ast.Decl) []ast.Node {
	var parts []ast.Node
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && (d.Recv == nil || exportedReceiver(d.Recv)) {
			parts = append(parts, d.Type)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				st, isStruct := s.Type.(*ast.StructType)
				switch {
				case !s.Name.IsExported():
				case isStruct:
					for _, field := range st.Fields.List {
						for _, name := range field.Names {
							if name.IsExported() {
								parts = append(parts, field.Type)
							}
						}
						if len(field.Names) == 0 {
							parts = append(parts, field.Type)
						}
					}
				default:
					parts = append(parts, s.Type)
				}
			case *ast.ValueSpec:
				if len(s.Names) > 0 && s.Names[0].IsExported() && s.Type != nil {
					parts = append(parts, s.Type)
				}
			}
		}
	}
	return parts
}

func exportedReceiver(recv *ast.FieldList) bool {
	exported := false
	ast.Inspect(recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && !exported {
			exported = id.IsExported()
		}
		return true
	})
	return exported
}

// silentConfigs lists the fields of exported structs named Config whose comment says neither what the zero value means nor that there must be
// another one.
func silentConfigs(files []file) []string {
	var bad []string
	for _, f := range files {
		if strings.HasPrefix(f.pkg, "internal/") {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			fields, ok := spec.Type.(*ast.StructType)
			if !ok || spec.Name.Name != "Config" {
				return false
			}
			for _, field := range fields.Fields.List {
				text := strings.ToLower(field.Doc.Text())
				if len(field.Names) > 0 && field.Names[0].IsExported() && !strings.Contains(text, "default") && !strings.Contains(text, "required") {
					bad = append(bad, fmt.Sprintf("%s: Config.%s: the comment says neither what it defaults to nor that it is required", f.name,
						field.Names[0].Name))
				}
			}
			return false
		})
	}
	return bad
}
