package isolationtest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// An Image is one that a test makes from programs of this machine.
type Image struct {
	Programs []string          // names, as in "sh", or paths; each is in /bin of the image, with the libraries that it needs
	Files    map[string]string // content by path, as in "etc/passwd"; a path that ends in / is a folder that anybody may write to
	Config   map[string]any    // by the names of the OCI image configuration, as in {"Env": []string{"A=b"}}
}

var library = regexp.MustCompile(`(/[^ \n]+) \(0x`)

// Write writes the image as a folder in OCI layout and returns its path, which is gone after the test.
func (i Image) Write(t testing.TB) string {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	written := map[string]bool{}
	add := func(name string, mode int64, content []byte) {
		if written[name] {
			return
		}
		written[name] = true
		h := &tar.Header{Name: name, Mode: mode, Size: int64(len(content)), Typeflag: tar.TypeReg}
		if name[len(name)-1] == '/' {
			h.Typeflag, h.Size = tar.TypeDir, 0
		}
		require.NoError(t, w.WriteHeader(h))
		if h.Size > 0 {
			_, err := w.Write(content)
			require.NoError(t, err)
		}
	}
	for _, name := range i.Programs {
		path, err := exec.LookPath(name)
		require.NoError(t, err)
		for _, file := range append([]string{path}, libraries(t, path)...) {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			if file == path {
				file = "/bin/" + filepath.Base(name)
			}
			add(file[1:], 0o755, content)
		}
	}
	var names []string
	for name := range i.Files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		mode := int64(0o644)
		if name[len(name)-1] == '/' {
			mode = 0o1777
		}
		add(name, mode, []byte(i.Files[name]))
	}
	require.NoError(t, w.Close())

	dir := t.TempDir()
	blob := func(kind string, b []byte) map[string]any {
		sum := sha256.Sum256(b)
		name := hex.EncodeToString(sum[:])
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "blobs/sha256"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "blobs/sha256", name), b, 0o644))
		return map[string]any{"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + name, "size": len(b)}
	}
	document := func(v any) []byte {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		return b
	}
	content := blob("layer.v1.tar", layer.Bytes())
	config := blob("config.v1+json", document(map[string]any{"os": "linux", "architecture": runtime.GOARCH, "config": i.Config,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []any{content["digest"]}}}))
	manifest := blob("manifest.v1+json", document(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": config, "layers": []any{content}}))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.json"), document(map[string]any{"schemaVersion": 2, "manifests": []any{manifest}}), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644))
	return dir
}

// libraries are the files that a program of this machine needs to run; none for one that is linked statically.
func libraries(t testing.TB, program string) (files []string) {
	out, err := exec.Command("ldd", program).CombinedOutput()
	if err != nil && bytes.Contains(out, []byte("not a dynamic executable")) {
		return nil
	}
	require.NoError(t, err, "%s", out)
	for _, m := range library.FindAllSubmatch(out, -1) {
		files = append(files, string(m[1]))
	}
	return files
}
