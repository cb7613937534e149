package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/meros-project/meros/isolation/image/registry"
	"github.com/meros-project/meros/isolation/isolationtest"
)

// child makes a copy of the test program what a test needs a process of its own for.
var child = func() {}

func TestMain(m *testing.M) {
	UseRegistry(registry.Open)
	Main()
	child()
	goleak.VerifyTestMain(m)
}

// A made image is one that a test has made: its blobs by digest, of which the manifest's is one.
type made struct {
	blobs    map[digest.Digest][]byte
	types    map[digest.Digest]string
	manifest ocispec.Descriptor
	config   ocispec.Descriptor
	layers   [][]byte // tar archives
}

// archive makes a tar archive from lines: "name content", "name/" for a folder, "name -> target" and "name => target" for links, and "!name"
// for a device.
func archive(lines ...string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, line := range lines {
		name, content, _ := strings.Cut(line, " ")
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}
		switch {
		case strings.HasPrefix(content, "-> "):
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, content[3:], 0
		case strings.HasPrefix(content, "=> "):
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, content[3:], 0
		case strings.HasPrefix(name, "!"):
			h.Typeflag, h.Name, h.Devmajor, h.Devminor = tar.TypeChar, name[1:], 1, 3
		case strings.HasSuffix(name, "/"):
			h.Typeflag, h.Mode, h.Size = tar.TypeDir, 0o755, 0
		case strings.HasPrefix(name, "suid"):
			h.Mode = 0o4755
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if h.Size > 0 {
			_, _ = w.Write([]byte(content))
		}
	}
	_ = w.Close()
	return b.Bytes()
}

func gz(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func (m *made) add(mediaType string, b []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	m.blobs[d.Digest], m.types[d.Digest] = b, mediaType
	return d
}

func jsonOf(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// make makes an image; change may spoil its configuration and its manifest.
func makeImage(change func(c *ocispec.Image, m *ocispec.Manifest), layers ...[]byte) *made {
	m := &made{blobs: map[digest.Digest][]byte{}, types: map[digest.Digest]string{}, layers: layers}
	cfg := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"}, RootFS: ocispec.RootFS{Type: "layers"},
		Config: ocispec.ImageConfig{Entrypoint: []string{"/bin/app"}, Cmd: []string{"serve"}, Env: []string{"A=b"}, WorkingDir: "/srv", User: "65534:65534"}}
	man := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for i, l := range layers {
		cfg.RootFS.DiffIDs = append(cfg.RootFS.DiffIDs, digest.FromBytes(l))
		if i%2 == 0 {
			man.Layers = append(man.Layers, m.add(ocispec.MediaTypeImageLayerGzip, gz(l)))
		} else {
			man.Layers = append(man.Layers, m.add(ocispec.MediaTypeImageLayer, l))
		}
	}
	if change != nil {
		change(&cfg, &man)
	}
	m.config = m.add(ocispec.MediaTypeImageConfig, jsonOf(cfg))
	if man.Config.Digest == "" {
		man.Config = m.config
	}
	m.manifest = m.add(ocispec.MediaTypeImageManifest, jsonOf(man))
	return m
}

// layout writes the image as a folder in OCI layout, with these images' tags.
func layoutOf(t testing.TB, images map[string]*made) string {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "blobs/sha256"), 0o755))
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}}
	for _, tag := range slices.Sorted(maps.Keys(images)) {
		m := images[tag]
		for d, b := range m.blobs {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "blobs/sha256", d.Encoded()), b, 0o644))
		}
		d := m.manifest
		d.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
		index.Manifests = append(index.Manifests, d)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "index.json"), jsonOf(index), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644))
	return dir
}

// tarOf packs a folder.
func tarOf(t testing.TB, dir string) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	require.NoError(t, w.AddFS(os.DirFS(dir)))
	require.NoError(t, w.Close())
	path := filepath.Join(t.TempDir(), "image.tar")
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o644))
	return path
}

// saved writes what `docker save` wrote before it wrote layouts.
func saved(t testing.TB, m *made, tag string) string {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), m.blobs[m.config.Digest], 0o644))
	var names []string
	for i, l := range m.layers {
		name := fmt.Sprintf("l%d/layer.tar", i)
		require.NoError(t, os.Mkdir(filepath.Join(dir, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), l, 0o644))
		names = append(names, name)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "manifest.json"),
		jsonOf([]map[string]any{{"Config": "config.json", "RepoTags": []string{"app:" + tag}, "Layers": names}}), 0o644))
	return tarOf(t, dir)
}

func newStore(t testing.TB, change func(*StoreConfig)) *Store {
	cfg := StoreConfig{Dir: filepath.Join(t.TempDir(), "store"), Folders: []string{os.TempDir()}, Architecture: "amd64"}
	if change != nil {
		change(&cfg)
	}
	s, err := NewStore(cfg)
	require.NoError(t, err)
	return s
}

// clean shows that nothing half done is left.
func clean(t testing.TB, s *Store) {
	left, err := os.ReadDir(s.path("tmp"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func count(t testing.TB, s *Store, kind string) int {
	entries, err := os.ReadDir(s.path(kind))
	require.NoError(t, err)
	return len(entries)
}

// tree lists what is below a folder: names, and what is in the files and links.
func tree(t testing.TB, dir string) (lines []string) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		name := strings.TrimPrefix(strings.TrimPrefix(path, dir), "/")
		switch {
		case e.IsDir():
			lines = append(lines, name+"/")
		case e.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			require.NoError(t, err)
			lines = append(lines, name+" -> "+to)
		case e.Type()&fs.ModeDevice == 0:
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			lines = append(lines, name+" "+string(b))
		default:
			lines = append(lines, name+" is a device")
		}
		return nil
	}))
	return lines[1:]
}

func flat(t testing.TB, u *Unpacked) []string {
	dir := t.TempDir()
	require.NoError(t, Flatten(context.Background(), u, dir))
	return tree(t, dir)
}

// mounted is what overlayfs makes of the layers.
func mounted(t *testing.T, u *Unpacked) []string {
	at := t.TempDir()
	lower := slices.Clone(u.Layers)
	slices.Reverse(lower)
	out, err := exec.Command("mount", "-t", "overlay", "-o", "ro,lowerdir="+strings.Join(lower, ":"), "overlay", at).CombinedOutput()
	require.NoError(t, err, "%s", out)
	defer func() {
		out, err := exec.Command("umount", at).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}()
	return tree(t, at)
}

// layered is an image that uses every kind of whiteout.
func layered() (*made, []string) {
	return makeImage(nil,
			archive("bin/", "bin/app one", "bin/sh => bin/app", "etc/", "etc/passwd root", "etc/old x", "lib -> usr/lib", "usr/", "usr/lib/", "usr/lib/libc c",
				"gone/", "gone/a a", "gone/deep/", "gone/deep/b b", "hidden/", "hidden/a a", "hidden/b b", "dir/", "dir/x x", "file y", "swap -> /etc", "both/", "both/old o", "!dev/null"),
			archive("etc/.wh.old", ".wh.gone", "hidden/", "hidden/.wh..wh..opq", "hidden/c c", "dir now-a-file", "file/", "file/in in", "swap/", "swap/passwd mine",
				".wh.both", "both/", "both/new n", ".wh..wh.plnk x"),
			archive("bin/app three", "etc/passwd => bin/app", "hidden/.wh.c", "hidden/d d", "gone again")),
		[]string{"bin/", "bin/app three", "bin/sh one", "both/", "both/new n", "dir now-a-file", "etc/", "etc/passwd three", "file/", "file/in in", "gone again",
			"hidden/", "hidden/d d", "lib -> usr/lib", "swap/", "swap/passwd mine", "usr/", "usr/lib/", "usr/lib/libc c"}
}

func TestLayersAreMergedAsTheyWereMeant(t *testing.T) {
	m, want := layered()
	dir := layoutOf(t, map[string]*made{"latest": m, "other": makeImage(nil, archive("x y"))})
	s := newStore(t, nil)
	for _, ref := range []string{"layout:" + dir, "layout:" + dir + ":latest", "archive:" + tarOf(t, dir) + ":latest", "archive:" + saved(t, m, "v1"), "archive:" + saved(t, m, "v1") + ":v1"} {
		u, err := s.Get(context.Background(), "c", ref)
		require.NoError(t, err, ref)
		require.Len(t, u.Layers, 3)
		require.Equal(t, want, flat(t, u), ref)
		require.Equal(t, Settings{Entrypoint: []string{"/bin/app"}, Cmd: []string{"serve"}, Env: []string{"A=b"}, WorkingDir: "/srv", User: "65534:65534"}, u.Config)
		require.Equal(t, []string{"/bin/app", "serve"}, u.Config.Argv(nil))
		require.Equal(t, []string{"/bin/app", "x"}, u.Config.Argv([]string{"x"}))
		clean(t, s)
	}
	require.Equal(t, 3, count(t, s, "layers"), "each layer is there once")
	u, err := s.Get(context.Background(), "d", "layout:"+dir+":other")
	require.NoError(t, err)
	require.Equal(t, []string{"x y"}, flat(t, u))
}

func TestOverlayfsAndTheCopyAgree(t *testing.T) {
	isolationtest.NeedsRoot(t)
	m, want := layered()
	s := newStore(t, nil)
	u, err := s.Get(context.Background(), "c", "layout:"+layoutOf(t, map[string]*made{"latest": m}))
	require.NoError(t, err)
	if !u.Overlay {
		t.Skip("the file system of the test's folder takes no whiteouts")
	}
	require.Equal(t, want, mounted(t, u))
	require.Equal(t, want, flat(t, u))
}

func TestBadImagesAreRefusedAndLeaveNothing(t *testing.T) {
	good := archive("a b")
	swap := func(m *made, d digest.Digest, b []byte) *made { m.blobs[d] = b; return m }
	layerOf := func(m *made) digest.Digest {
		for d, kind := range m.types {
			if strings.Contains(kind, "layer") {
				return d
			}
		}
		panic("no layer")
	}
	damaged := makeImage(nil, good)
	damaged = swap(damaged, layerOf(damaged), gz(archive("a c")))
	short := makeImage(nil, good)
	short = swap(short, layerOf(short), short.blobs[layerOf(short)][:40])
	missing := makeImage(nil, good)
	delete(missing.blobs, layerOf(missing))
	badManifest := makeImage(nil, good)
	badManifest = swap(badManifest, badManifest.manifest.Digest, []byte("{}"))
	badConfig := makeImage(nil, good)
	badConfig = swap(badConfig, badConfig.config.Digest, []byte("{}"))
	for name, c := range map[string]struct {
		image *made
		want  string
	}{
		"a layer that was changed":           {damaged, "layer 1 of 1: "},
		"a layer that ends early":            {short, "layer 1 of 1: "},
		"a layer that is missing":            {missing, "no such file"},
		"a manifest that was changed":        {badManifest, "is something else"},
		"a configuration that was changed":   {badConfig, "is something else"},
		"a name that climbs":                 {makeImage(nil, archive("../x y")), `layer 1 of 1: entry "../x": has a name with ".."`},
		"an absolute name":                   {makeImage(nil, archive("/etc/x y")), "has an absolute name"},
		"writing through a link":             {makeImage(nil, archive("l -> /", "l/etc/x y")), "no folder but a link"},
		"a hard link out":                    {makeImage(nil, archive("l => ../../etc/passwd")), "is a link to what has a name"},
		"a hard link to another layer":       {makeImage(nil, good, archive("l => a")), "layer 2 of 2: "},
		"a hard link through a link":         {makeImage(nil, archive("l -> /etc", "p => l/passwd")), "no folder but a link"},
		"a whiteout without a name":          {makeImage(nil, archive("x/.wh. y")), "removes what has no name"},
		"a whiteout that climbs":             {makeImage(nil, archive("x/.wh... y")), "removes what has no name"},
		"a whiteout outside":                 {makeImage(nil, archive("../.wh.x y")), `has a name with ".."`},
		"other bytes than the configuration": {makeImage(func(c *ocispec.Image, _ *ocispec.Manifest) { c.RootFS.DiffIDs[0] = digest.FromString("x") }, good), "is not what the image's configuration says"},
		"more layers than configured":        {makeImage(func(c *ocispec.Image, _ *ocispec.Manifest) { c.RootFS.DiffIDs = nil }, good), "1 layers, but the configuration names 0"},
		"a size that lies, small":            {makeImage(func(_ *ocispec.Image, m *ocispec.Manifest) { m.Layers[0].Size = 10 }, good), "layer 1 of 1: "},
		"a size that lies, large":            {makeImage(func(_ *ocispec.Image, m *ocispec.Manifest) { m.Layers[0].Size += 10 }, good), "but its manifest says"},
		"a size beyond all bounds":           {makeImage(func(_ *ocispec.Image, m *ocispec.Manifest) { m.Layers[0].Size = 1 << 40 }, good), "the most that is allowed"},
		"a negative size":                    {makeImage(func(_ *ocispec.Image, m *ocispec.Manifest) { m.Layers[0].Size = -1 }, good), "the most that is allowed"},
		"a digest that is a path":            {makeImage(func(_ *ocispec.Image, m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:../../../etc/passwd" }, good), "is not allowed (allowed: sha256:"},
		"a diff id that is a path":           {makeImage(func(c *ocispec.Image, _ *ocispec.Manifest) { c.RootFS.DiffIDs[0] = "../../x" }, good), "is not allowed (allowed: sha256:"},
		"another digest's method":            {makeImage(func(_ *ocispec.Image, m *ocispec.Manifest) { m.Layers[0].Digest = "md5:0" }, good), "is not allowed"},
		"zstd":                               {makeImage(func(_ *ocispec.Image, m *ocispec.Manifest) { m.Layers[0].MediaType += "+zstd" }, good), "zstd"},
		"layers from elsewhere": {makeImage(func(_ *ocispec.Image, m *ocispec.Manifest) {
			m.Layers[0].MediaType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
		}, good), "must be had from elsewhere"},
		"another system": {makeImage(func(c *ocispec.Image, _ *ocispec.Manifest) { c.OS = "windows" }, good), "is for windows"},
		"a configuration that is large": {makeImage(func(_ *ocispec.Image, m *ocispec.Manifest) {
			m.Config = ocispec.Descriptor{Digest: digest.FromString("c"), Size: 5 << 20}
		}, good), "has 5242880 bytes"},
		"more layers than allowed":        {makeImage(nil, good, good, good, good), "4 layers (allowed: at most 3)"},
		"more bytes than allowed":         {makeImage(nil, archive("a "+strings.Repeat("x", 1<<20)), archive("b "+strings.Repeat("y", 1<<20))), "bytes"},
		"a folder for working in outside": {makeImage(func(c *ocispec.Image, _ *ocispec.Manifest) { c.Config.WorkingDir = "srv" }, good), "working directory"},
		"a zero byte":                     {makeImage(func(c *ocispec.Image, _ *ocispec.Manifest) { c.Config.Env = []string{"A=\x00"} }, good), "a zero byte"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, func(c *StoreConfig) { c.MaxLayers, c.MaxImage = 3, 3<<19 })
			for _, ref := range []string{"layout:" + layoutOf(t, map[string]*made{"latest": c.image})} {
				_, err := s.Get(context.Background(), "c", ref)
				require.ErrorContains(t, err, c.want)
				require.ErrorContains(t, err, "image layout:/")
				clean(t, s)
				require.Zero(t, count(t, s, "images"))
				require.Zero(t, count(t, s, "refs"))
			}
		})
	}
}

func TestReferencesAreChecked(t *testing.T) {
	s := newStore(t, func(c *StoreConfig) {
		c.Folders = []string{t.TempDir()}
		c.Registries = []Registry{{Host: "registry.example.org"}}
	})
	require.NoError(t, os.Symlink("/etc", filepath.Join(s.cfg.Folders[0], "out")))
	for ref, want := range map[string]string{
		"busybox":              "is not the name of an image",
		"evil.example.org/x:1": "this slave does not pull from registry evil.example.org (allowed: registry.example.org)",
		"127.0.0.1:5000/x":     "this slave does not pull from registry 127.0.0.1:5000",
		"layout:/etc":          "this slave allows no images there",
		"archive:/etc/passwd":  "this slave allows no images there",
		"layout:/" + s.cfg.Folders[0][1:] + "/../..": "this slave allows no images there",
		"layout:" + s.cfg.Folders[0] + "/out":        "path escapes from parent",
		"archive:" + s.cfg.Folders[0] + "/none":      "no such file",
		"layout:" + s.cfg.Folders[0]:                 "holds no image",
	} {
		_, err := s.Get(context.Background(), "c", ref)
		require.ErrorContains(t, err, want)
	}
	closed := newStore(t, func(c *StoreConfig) { c.Folders = nil })
	_, err := closed.Get(context.Background(), "c", "layout:/tmp/x")
	require.ErrorContains(t, err, "this slave allows no images of its own disk")
	_, err = closed.Get(context.Background(), "c", "docker.io/library/busybox")
	require.ErrorContains(t, err, "this slave pulls from no registry")
	for want, cfg := range map[string]StoreConfig{"Dir is": {}, "Folders[0] is": {Dir: "/x", Folders: []string{"y"}}, "Registries[0].Host is": {Dir: "/x", Registries: []Registry{{}}},
		"Timeout is -1": {Dir: "/x", Timeout: -1}} {
		_, err := NewStore(cfg)
		require.ErrorContains(t, err, want)
	}
}

func TestSetuidBitsAreStrippedUnlessTheOperatorKeepsThem(t *testing.T) {
	dir := layoutOf(t, map[string]*made{"latest": makeImage(nil, archive("suid x"))})
	for _, keep := range []bool{false, true} {
		u, err := newStore(t, func(c *StoreConfig) { c.Setuid = keep }).Get(context.Background(), "c", "layout:"+dir)
		require.NoError(t, err)
		to := t.TempDir()
		require.NoError(t, Flatten(context.Background(), u, to))
		for _, path := range []string{filepath.Join(u.Layers[0], "suid"), filepath.Join(to, "suid")} {
			st, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, keep, st.Mode()&fs.ModeSetuid != 0)
			require.Equal(t, fs.FileMode(0o755), st.Mode().Perm())
		}
	}
}

func TestAnIndexHoldsOneForThisMachine(t *testing.T) {
	m := makeImage(nil, archive("a b"))
	inner := m.manifest
	inner.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	other := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("arm"), Size: 3, Platform: &ocispec.Platform{OS: "linux", Architecture: "arm64"}}
	m.manifest = m.add(ocispec.MediaTypeImageIndex, jsonOf(ocispec.Index{Manifests: []ocispec.Descriptor{other, inner}}))
	dir := layoutOf(t, map[string]*made{"latest": m})
	u, err := newStore(t, nil).Get(context.Background(), "c", "layout:"+dir)
	require.NoError(t, err)
	require.Equal(t, string(inner.Digest), u.Digest)
	_, err = newStore(t, func(c *StoreConfig) { c.Architecture = "riscv64" }).Get(context.Background(), "c", "layout:"+dir)
	require.ErrorContains(t, err, "has no image for linux/riscv64 (there: linux/arm64, linux/amd64)")
}

func TestWhatNobodyUsesIsThrownOutWhenSpaceIsNeeded(t *testing.T) {
	big := func(name string) []byte { return archive(name + " " + strings.Repeat(name, 1000)) }
	common := big("s")
	images := map[string]*made{}
	for _, name := range []string{"a", "b", "c", "d"} {
		images[name] = makeImage(nil, common, big(name))
	}
	dir := layoutOf(t, images)
	s := newStore(t, func(c *StoreConfig) { c.MaxBytes = 3500 })
	get := func(container, tag string) *Unpacked {
		t.Helper()
		u, err := s.Get(context.Background(), container, "layout:"+dir+":"+tag)
		require.NoError(t, err)
		for _, l := range u.Layers {
			require.DirExists(t, l)
		}
		return u
	}
	a := get("1", "a")
	get("2", "b")
	require.Equal(t, 3, count(t, s, "layers"))
	require.NoError(t, s.Release("2"))
	require.NoError(t, s.Release("2"), "once more")
	get("3", "c") // b goes
	require.Equal(t, 2, count(t, s, "images"))
	require.Equal(t, 3, count(t, s, "layers"), "the common one, a's and c's")
	require.DirExists(t, a.Layers[1])
	// What is used stays, and what has no room beside it is refused.
	_, err := s.Get(context.Background(), "4", "layout:"+dir+":d")
	require.ErrorContains(t, err, "there is no room: images that are in use have 4000 bytes with it (allowed: 3500)")
	require.Equal(t, 3, count(t, s, "layers"))
	require.Equal(t, 2, count(t, s, "refs"))
	require.NoError(t, s.Release("3"))
	get("4", "d")
	require.Equal(t, 3, count(t, s, "layers"))
	// A restart knows what is used, and forgets the rest.
	require.NoError(t, os.MkdirAll(s.path("tmp/layer-x/fs"), 0o755))
	require.NoError(t, os.Chmod(s.path("tmp/layer-x"), 0o000))
	s, err = NewStore(s.cfg)
	require.NoError(t, err)
	clean(t, s)
	require.NoError(t, s.Recover([]string{"1", "4"}))
	require.Equal(t, 2, count(t, s, "images"))
	require.Equal(t, 3, count(t, s, "layers"))
	require.DirExists(t, a.Layers[1])
	require.NoError(t, s.Recover(nil))
	require.Equal(t, 3, count(t, s, "layers"), "there is room: what may be used again stays")
	require.Zero(t, count(t, s, "refs"))
}

func TestManyContainersUnpackALayerOnce(t *testing.T) {
	dir := layoutOf(t, map[string]*made{"a": makeImage(nil, archive("common x"), archive("a a")), "b": makeImage(nil, archive("common x"), archive("b b"))})
	s := newStore(t, nil)
	var wg sync.WaitGroup
	errs := [12]error{}
	for i := range errs {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if i%4 == 3 {
				cancel() // those who give up spoil nothing
			}
			_, errs[i] = s.Get(ctx, fmt.Sprint(i), "layout:"+dir+":"+[]string{"a", "b"}[i%2])
		})
	}
	wg.Wait()
	for i, err := range errs {
		if i%4 != 3 {
			require.NoError(t, err)
		}
	}
	require.Equal(t, 3, count(t, s, "layers"))
	clean(t, s)
}

func TestNamesInRegistriesAreTakenApart(t *testing.T) {
	hash := "sha256:" + strings.Repeat("0a", 32)
	for text, want := range map[string][3]string{
		"h/a":                      {"h", "a", "latest"},
		"h:5000/a/b-c/d__e.f:V1.2": {"h:5000", "a/b-c/d__e.f", "V1.2"},
		"h/a@" + hash:              {"h", "a", hash},
		"h/a:v1@" + hash:           {"h", "a", hash},
		"h/a---b:_":                {"h", "a---b", "_"},
	} {
		host, name, tag, ok := splitName(text)
		require.True(t, ok, text)
		require.Equal(t, want, [3]string{host, name, tag}, text)
	}
	for _, text := range []string{"", "a", "/a", "h/", "h//a", "h/a/", "h/A", "h/a:", "h/a:-v", "h/a:b:c", "h/a..b", "h/a___b", "h/.a", "h/a_", "h/a b", "h/../a", "h/a@sha256:00", "h/a@" + hash + "0",
		"h/a@md5:" + hash[7:], "h@x/a", "h?x/a", "h#x/a", "h/a?x", "h/a%2f", "h/a:" + strings.Repeat("x", 129)} {
		_, _, _, ok := splitName(text)
		require.False(t, ok, text)
	}
}
