package slave

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/cgroup"
	"github.com/meros-project/meros/isolation/disk"
	"github.com/meros-project/meros/isolation/image"
	"github.com/meros-project/meros/isolation/namespace"
	"github.com/meros-project/meros/isolation/ports"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer/resource"
)

// A maker makes one of the isolators that Config.Isolators can name.
type maker struct {
	name string
	make func(*Slave) (isolation.Isolator, error)
}

// makers are in the order in which isolators are composed.
var makers = []maker{
	{"process", func(s *Slave) (isolation.Isolator, error) { return process.New(s.cfg.Process), nil }},
	{"cgroup", func(s *Slave) (isolation.Isolator, error) {
		cfg := s.cfg.Cgroup
		if cfg.Slave == "" {
			cfg.Slave = nameOf(s.folder.dir)
		}
		if cfg.Logger == nil {
			cfg.Logger = s.cfg.Logger
		}
		i, err := cgroup.New(cfg)
		if err != nil {
			return nil, err
		}
		s.holder = i
		return i, nil
	}},
	{"namespace", func(s *Slave) (isolation.Isolator, error) { return namespace.New(s.cfg.Namespace) }},
	{"image", func(s *Slave) (isolation.Isolator, error) {
		cfg := s.cfg.image()
		if cfg.Store.Holder == nil && s.holder != nil {
			cfg.Store.Holder = s.holder
		}
		i, err := image.New(cfg)
		if err != nil {
			return nil, err
		}
		s.images = i
		return i, nil
	}},
	{"disk", func(s *Slave) (isolation.Isolator, error) {
		cfg := s.cfg.Disk
		if s.images != nil {
			cfg.Root = s.images.Written
		}
		cfg.Volume = func(r resource.Resource) (string, error) { return s.volume(&r) }
		if cfg.Logger == nil {
			cfg.Logger = s.cfg.Logger
		}
		return disk.New(cfg)
	}},
	{"ports", func(s *Slave) (isolation.Isolator, error) {
		cfg := s.cfg.Ports
		if cfg.Logger == nil {
			cfg.Logger = s.cfg.Logger
		}
		return ports.New(cfg)
	}},
}

// Isolators are the names that Config.Isolators may hold, in the order in which they are composed.
func Isolators() []string {
	names := make([]string, len(makers))
	for i, m := range makers {
		names[i] = m.name
	}
	return names
}

// nameOf tells what a slave has made on the machine from what others have: it follows from its folder, which no other slave uses.
func nameOf(dir string) string {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	sum := sha256.Sum256([]byte(dir))
	return hex.EncodeToString(sum[:6])
}

// chain makes the isolators that tasks are held by. What is named must work; without names, what does not is left out and logged.
func (s *Slave) chain() (isolation.Chain, error) {
	first := &sandboxes{s: s}
	chain := isolation.Chain{first}
	defer func() { first.mounts = slices.Contains(chain.Enforces(), isolation.FeatureVolumes) }()
	if s.cfg.Isolation != nil {
		chain = append(chain, s.cfg.Isolation...)
		return chain, nil
	}
	var names, missing []string
	for _, m := range makers {
		if len(s.cfg.Isolators) > 0 && !slices.Contains(s.cfg.Isolators, m.name) {
			continue
		}
		iso, err := m.make(s)
		switch {
		case err == nil:
			chain = append(chain, iso)
			names = append(names, m.name)
		case len(s.cfg.Isolators) > 0:
			return nil, fmt.Errorf("slave: isolator %q: %w", m.name, err)
		default:
			missing = append(missing, err.Error())
		}
	}
	if missing = append(missing, chain.Lacks()...); len(missing) > 0 {
		s.cfg.Logger.Warn("tasks are held by", "isolators", strings.Join(names, ","), "missing", strings.Join(missing, "; "))
	} else {
		s.cfg.Logger.Info("tasks are held by", "isolators", strings.Join(names, ","))
	}
	return chain, nil
}

// validateIsolators reports a name that is not known, or twice in the list, and a list without the isolator that says what to start.
func (c Config) validateIsolators() error {
	for i, name := range c.Isolators {
		switch {
		case !slices.Contains(Isolators(), name):
			return fmt.Errorf("slave: config: Isolators[%d] is %q (allowed: %s)", i, name, strings.Join(Isolators(), ", "))
		case slices.Contains(c.Isolators[:i], name):
			return fmt.Errorf("slave: config: Isolators[%d] is a second %q", i, name)
		}
	}
	if len(c.Isolators) > 0 && !slices.Contains(c.Isolators, makers[0].name) {
		return fmt.Errorf("slave: config: Isolators is %s (allowed: with %s, which says what to start)", strings.Join(c.Isolators, ","), makers[0].name)
	}
	if len(c.Isolators) > 0 && (c.Isolation != nil || c.Runner != nil) {
		return fmt.Errorf("slave: config: Isolators is set, but so is Isolation or Runner, which would be used instead")
	}
	return nil
}
