package zkserver

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/meros-project/meros/internal/loopback"
)

const (
	jar = "/usr/share/java/zookeeper.jar" // of Debian's package zookeeper
	// What a server with TLS needs beyond what that file names; all of a package that it depends on.
	jars     = jar + ":/usr/share/java/netty-codec.jar:/usr/share/java/netty-resolver.jar:/usr/share/java/netty-transport-native-unix-common.jar"
	patience = 60 * time.Second // for a server that comes up
)

// Missing says what this machine lacks to run a server; nil if it lacks nothing.
func Missing() error {
	if _, err := exec.LookPath("java"); err != nil {
		return errors.New("no java: install Debian's package zookeeper")
	}
	if _, err := os.Stat(jar); err != nil {
		return fmt.Errorf("no %s: install Debian's package zookeeper", jar)
	}
	return nil
}

// Options say which servers to start. Only Dir is required.
type Options struct {
	// Dir is an empty folder for what the servers write. Required.
	Dir string
	// Servers is how many form the ensemble. Defaults to 1.
	Servers int
	// KeyStore and TrustStore are PEM files: the server's certificate with its key, and the certificates that clients are signed by. With
	// both each server has a SecureAddress. Default to none.
	KeyStore, TrustStore string
	// Config is lines that are appended to each server's configuration. Defaults to none.
	Config string
}

// A Server is a ZooKeeper process on loopback. Its methods must not be called at the same time.
type Server struct {
	Address       string // host:port for clients
	SecureAddress string // host:port for clients with TLS; empty without
	dir           string
	config        string
	ports         []loopback.Port
	cmd           *exec.Cmd
	exited        chan struct{}
}

// Start starts the servers of one ensemble and returns when they serve. They must be closed; after an error none is left.
func Start(o Options) ([]*Server, error) {
	if err := Missing(); err != nil {
		return nil, err
	}
	n := max(o.Servers, 1)
	var list []*Server
	var peers strings.Builder
	err := func() error {
		for i := range n {
			s, err := o.server(i + 1)
			if err != nil {
				return err
			}
			list = append(list, s)
			fmt.Fprintf(&peers, "server.%d=127.0.0.1:%d:%d\n", i+1, s.ports[0].Number(), s.ports[1].Number())
		}
		for _, s := range list {
			if n > 1 {
				s.config += peers.String()
			}
			if err := s.Start(); err != nil {
				return err
			}
		}
		for _, s := range list {
			if err := s.Ready(); err != nil {
				return err
			}
		}
		return nil
	}()
	if err != nil {
		Close(list)
		return nil, err
	}
	return list, nil
}

// server makes the folder of a server that does not run yet. Its first two ports are for the other servers.
func (o Options) server(id int) (*Server, error) {
	s := &Server{dir: filepath.Join(o.Dir, fmt.Sprintf("zk-%d", id))}
	for range 4 {
		p, err := loopback.Keep()
		if err != nil {
			Close([]*Server{s})
			return nil, err
		}
		s.ports = append(s.ports, p)
	}
	s.Address = s.ports[2].Address()
	s.config = fmt.Sprintf("tickTime=200\ninitLimit=50\nsyncLimit=25\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n"+
		"4lw.commands.whitelist=srvr\nminSessionTimeout=400\nmaxSessionTimeout=60000\nmaxClientCnxns=0\n", s.dir, s.ports[2].Number())
	if o.KeyStore != "" && o.TrustStore != "" {
		s.SecureAddress = s.ports[3].Address()
		s.config += fmt.Sprintf("secureClientPort=%d\nsecureClientPortAddress=127.0.0.1\nserverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n"+
			"ssl.keyStore.location=%s\nssl.trustStore.location=%s\n", s.ports[3].Number(), o.KeyStore, o.TrustStore)
	}
	s.config += o.Config
	err := os.MkdirAll(s.dir, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(s.dir, "myid"), fmt.Appendf(nil, "%d\n", id), 0o600)
	}
	if err != nil {
		Close([]*Server{s})
		return nil, err
	}
	return s, nil
}

// Close kills the servers and gives their ports back. They cannot be started again.
func Close(list []*Server) {
	for _, s := range list {
		s.Kill()
		for _, p := range s.ports {
			p.Free()
		}
		s.ports = nil
	}
}

// URL is the address of a path on these servers.
func URL(list []*Server, path string) string {
	var a []string
	for _, s := range list {
		a = append(a, s.Address)
	}
	return "zk://" + strings.Join(a, ",") + path
}

// Start starts a server that was killed, with what it has written. It does not wait until it serves, which Ready does.
func (s *Server) Start() error {
	config := filepath.Join(s.dir, "zoo.cfg")
	if err := os.WriteFile(config, []byte(s.config), 0o600); err != nil {
		return err
	}
	main := "org.apache.zookeeper.server.ZooKeeperServerMain"
	if strings.Contains(s.config, "\nserver.") {
		main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
	}
	log, err := os.OpenFile(s.log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.preAllocSize=1024", "-cp", jars, main, config)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	s.cmd, s.exited = cmd, exited
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	return nil
}

// Kill ends the server at once, as kill -9 does.
func (s *Server) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.exited
		s.cmd = nil
	}
}

// Hang stops the server where it is: it keeps its connections and says nothing, as one that is cut off. Continue ends that.
func (s *Server) Hang() { _ = s.cmd.Process.Signal(syscall.SIGSTOP) }

// Continue lets a server that hangs go on.
func (s *Server) Continue() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }

// Ready waits until the server takes part in a quorum, for up to a minute.
func (s *Server) Ready() error {
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		select {
		case <-s.exited:
			return fmt.Errorf("zkserver: the server at %s has ended:\n%s", s.Address, s.Said())
		default:
		}
		if strings.Contains(s.ask(), "Mode: ") {
			return nil
		}
		if time.Since(began) > patience {
			return fmt.Errorf("zkserver: the server at %s does not serve after %v:\n%s", s.Address, patience, s.Said())
		}
	}
}

// Leads tells whether the server is the one that leads its ensemble.
func (s *Server) Leads() bool { return strings.Contains(s.ask(), "Mode: leader") }

func (s *Server) log() string { return filepath.Join(s.dir, "log") }

// Said is the end of what the server has printed.
func (s *Server) Said() string {
	b, _ := os.ReadFile(s.log())
	return string(b[max(0, len(b)-3000):])
}

func (s *Server) ask() string {
	c, err := net.DialTimeout("tcp", s.Address, time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	_, _ = io.WriteString(c, "srvr")
	b, _ := io.ReadAll(c)
	return string(b)
}
