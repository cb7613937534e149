package tidy

import "strings"

const module = "github.com/meros-project/meros"

// A room is a folder, or a folder and all below it, with what its packages may import.
type room struct {
	path  string   // relative to the root; a trailing "/..." takes in what is below
	ours  []string // our packages it may import: same notation
	pure  bool     // the first law holds for it
	doors []string // module path prefixes of dependencies that only this room may import
}

// rooms is the import table. The first room that matches a package decides. A package without a room is refused, so that a new folder is a
// decision and not an accident.
var rooms = []room{
	{path: "", ours: nil},
	{path: "offer/resource", pure: true},
	{path: "internal/invariant", pure: true},
	{path: "internal/describe", pure: true},
	{path: "offer", ours: []string{"offer/resource"}, pure: true},
	{path: "offer/allocator", ours: []string{"offer/...", "internal/invariant"}, pure: true},
	{path: "internal/refalloc", ours: []string{"offer/..."}, pure: true},
	{path: "internal/message", ours: []string{"offer/...", "internal/invariant"}, pure: true},
	{path: "internal/registry", ours: []string{"offer/...", "internal/invariant"}, pure: true},
	{path: "internal/mastercore", ours: []string{"offer/...", "internal/message", "internal/registry", "internal/invariant"}, pure: true},
	{path: "internal/slavecore", ours: []string{"offer", "offer/resource", "internal/message", "internal/invariant", "internal/describe"}, pure: true},
	{path: "internal/frameworkcore", ours: []string{"offer", "offer/resource", "internal/message", "internal/invariant", "internal/describe"}, pure: true},
	{path: "internal/wire", ours: []string{"offer/...", "internal/message", "internal/registry", "internal/mastercore", "internal/slavecore"},
		doors: []string{"github.com/vmihailenco/msgpack"}},
	{path: "internal/transport/...", ours: []string{"internal/message", "internal/wire", "internal/transport/...", "offer", "election"}},
	{path: "isolation/unpack"},
	{path: "isolation/image", ours: []string{"offer", "offer/resource", "isolation", "isolation/process", "isolation/image/registry", "isolation/unpack", "isolation/fetch", "isolation/isolationtest"},
		doors: []string{"oras.land/oras-go", "github.com/opencontainers/image-spec", "github.com/opencontainers/go-digest"}},
	{path: "isolation/image/registry", doors: []string{"oras.land/oras-go", "github.com/opencontainers/image-spec", "github.com/opencontainers/go-digest"}},
	{path: "isolation/fetch", ours: []string{"offer", "offer/resource", "isolation", "isolation/process", "isolation/unpack", "isolation/isolationtest"},
		doors: []string{"github.com/landlock-lsm/go-landlock", "kernel.org/pub/linux/libs/security/libcap/psx"}},
	{path: "isolation/process", ours: []string{"offer", "offer/resource", "isolation/..."},
		doors: []string{"golang.org/x/net/bpf", "github.com/moby/sys/capability"}},
	{path: "isolation/...", ours: []string{"offer", "offer/resource", "isolation/..."}},
	{path: "election", doors: []string{"go.etcd.io/bbolt"}},
	{path: "election/electiontest", ours: []string{"election"}, doors: []string{"github.com/anishathalye/porcupine"}},
	{path: "election/discovery", ours: []string{"election"}, doors: []string{"github.com/hashicorp/memberlist"}},
	{path: "election/raft", ours: []string{"election"}, doors: []string{"github.com/hashicorp/raft", "github.com/hashicorp/raft-boltdb",
		"github.com/hashicorp/go-hclog", "go.etcd.io/bbolt"}},
	// What the elector is measured against: the same library without what election/raft puts around it. Only benchmarks import it.
	{path: "internal/plainraft", doors: []string{"github.com/hashicorp/raft", "github.com/hashicorp/raft-boltdb", "github.com/hashicorp/go-hclog"}},
	{path: "election/zookeeper", ours: []string{"election", "internal/zkserver"}, doors: []string{"github.com/go-zookeeper/zk"}},
	{path: "internal/runloop"},
	{path: "internal/image"},
	{path: "internal/recording", ours: []string{"offer/...", "internal/message", "internal/registry", "internal/mastercore", "internal/wire", "internal/image"}},
	{path: "internal/masterhttp", ours: []string{"offer/...", "internal/message", "internal/mastercore", "internal/registry", "internal/mesosv1"}},
	{path: "internal/slavehttp", ours: []string{"offer/...", "internal/message", "internal/slavecore", "internal/mesosv1"}},
	{path: "master", ours: []string{"offer/...", "election", "internal/message", "internal/registry", "internal/mastercore",
		"internal/runloop", "internal/wire", "internal/transport/...", "internal/masterhttp", "internal/invariant", "internal/recording"}},
	{path: "slave", ours: []string{"offer", "offer/resource", "election", "isolation/...", "internal/message", "internal/slavecore",
		"internal/runloop", "internal/wire", "internal/transport/...", "internal/slavehttp", "internal/invariant", "internal/recording"}},
	{path: "framework", ours: []string{"offer", "offer/resource", "election", "internal/message", "internal/frameworkcore",
		"internal/runloop", "internal/wire", "internal/transport/...", "internal/invariant", "internal/recording"}},
	{path: "framework/executor", ours: []string{"offer", "offer/resource", "internal/message", "internal/wire", "internal/transport/..."}},
	{path: "framework/launcher/core", ours: []string{"offer", "offer/resource"}, pure: true},
	{path: "framework/launcher", ours: []string{"framework/...", "offer", "offer/resource"}},
	{path: "framework/frameworktest", ours: []string{"offer/...", "framework", "internal/message", "internal/sim"}},
	{path: "internal/sim", ours: []string{"offer/...", "internal/mastercore", "internal/slavecore", "internal/frameworkcore",
		"internal/registry", "internal/message", "internal/wire", "internal/invariant", "internal/image", "internal/recording"},
		doors: []string{"github.com/anishathalye/porcupine"}},
	{path: "internal/sim/simulate", ours: []string{"internal/sim", "offer/..."}},
	{path: "internal/synctier"},
	{path: "internal/zkserver", ours: []string{"internal/loopback"}},
	{path: "internal/loopback"},
	{path: "internal/bench/...", ours: []string{"..."}},
	{path: "internal/lab/...", ours: []string{"offer", "offer/resource", "framework", "internal/lab"}},
	{path: "internal/tidy"},
	{path: "cmd/...", ours: []string{"..."}},
	{path: "examples/...", ours: []string{"", "offer/...", "election/...", "isolation/...", "master", "slave", "framework/...", "examples/..."}},
}

// pureForbidden are the packages that a pure room may not import. Below is what it may not use of those that it may.
var pureForbidden = []string{"os", "net", "io/fs", "sync", "context", "log", "crypto/rand", "runtime", "reflect", "unsafe", "syscall", "testing"}

// pureCalls are names that a pure room may not mention: they read the clock, or draw from a source that the core does not own.
var pureCalls = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Local", "LoadLocation"},
	"math/rand/v2": {"Int", "IntN", "Int32", "Int32N", "Int64", "Int64N", "Uint32", "Uint32N", "Uint64", "Uint64N", "UintN", "Uint",
		"N", "Float32", "Float64", "NormFloat64", "ExpFloat64", "Perm", "Shuffle"},
}

// pureForeign are the modules that a pure room may import: data structures without I/O.
var pureForeign = []string{"github.com/tidwall/btree"}

// matches reports whether the package at path (relative to the root) is in pattern.
func matches(pattern, path string) bool {
	if pattern == "..." {
		return true
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == base || strings.HasPrefix(path, base+"/")
	}
	return pattern == path
}

func roomOf(path string) (room, bool) {
	for _, r := range rooms {
		if matches(r.path, path) {
			return r, true
		}
	}
	return room{}, false
}

func under(pkg string, prefixes []string) bool {
	for _, p := range prefixes {
		if pkg == p || strings.HasPrefix(pkg, p+"/") {
			return true
		}
	}
	return false
}

func standard(pkg string) bool {
	first, _, _ := strings.Cut(pkg, "/")
	return !strings.Contains(first, ".")
}
