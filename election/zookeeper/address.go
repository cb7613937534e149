package zookeeper

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

const (
	scheme      = "zk://"
	defaultPort = "2181"
	maxAddress  = 4096
	maxServers  = 31
)

// IsAddress tells whether s is meant to be an address of a path on a ZooKeeper ensemble, rather than of a master.
func IsAddress(s string) bool { return strings.HasPrefix(s, scheme) }

// An Address is a path on an ensemble, as in zk://user:password@host1:2181,host2/path.
type Address struct {
	Servers  []string // host:port; the port defaults to 2181
	Path     string   // begins with a slash and is not the root
	User     string   // empty without credentials
	Password string
}

// String is the address without the password.
func (a Address) String() string {
	user := ""
	if a.User != "" {
		user = a.User + ":***@"
	}
	return scheme + user + strings.Join(a.Servers, ",") + a.Path
}

// ParseAddress reads an address. Its errors never show the password.
func ParseAddress(s string) (Address, error) {
	var a Address
	if len(s) > maxAddress {
		return a, fmt.Errorf("zookeeper: address has %d bytes, at most %d are allowed", len(s), maxAddress)
	}
	rest, ok := strings.CutPrefix(s, scheme)
	if !ok {
		return a, fmt.Errorf("zookeeper: address %q must be %s[user:password@]host[:port],.../path", redact(s), scheme)
	}
	slash := strings.IndexByte(rest, '/')
	if at := strings.LastIndexByte(rest, '@'); at > slash && slash >= 0 {
		return a, fmt.Errorf("zookeeper: address %s...: the user, the password and the path must not have both a slash and an @ after it", scheme)
	}
	if slash < 0 {
		return a, fmt.Errorf("zookeeper: address %q has no path, as in %shost1,host2/meros", redact(s), scheme)
	}
	servers, path := rest[:slash], rest[slash:]
	if at := strings.LastIndexByte(servers, '@'); at >= 0 {
		user, password, ok := strings.Cut(servers[:at], ":")
		if !ok || user == "" || password == "" {
			return a, fmt.Errorf("zookeeper: address %q must have user:password before the @", redact(s))
		}
		a.User, a.Password, servers = user, password, servers[at+1:]
	}
	for server := range strings.SplitSeq(servers, ",") {
		server, err := parseServer(server)
		if err != nil {
			return a, fmt.Errorf("zookeeper: address %q: %w", redact(s), err)
		}
		a.Servers = append(a.Servers, server)
	}
	if len(a.Servers) > maxServers {
		return a, fmt.Errorf("zookeeper: address has %d servers, at most %d are allowed", len(a.Servers), maxServers)
	}
	if err := checkPath(path); err != nil {
		return a, fmt.Errorf("zookeeper: address %q: %w", redact(s), err)
	}
	a.Path = path
	return a, nil
}

func parseServer(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil { // no port
		host, port = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"), defaultPort
		if strings.Contains(host, ":") && !strings.HasPrefix(s, "[") {
			return "", fmt.Errorf("server %q must be host, host:port or [IPv6]:port", s)
		}
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("server %q must have a port from 1 to 65535", s)
	}
	if host == "" || strings.ContainsAny(host, " \t/@[]") {
		return "", fmt.Errorf("server %q must be host, host:port or [IPv6]:port", s)
	}
	return net.JoinHostPort(host, port), nil
}

func checkPath(path string) error {
	if path == "/" {
		return fmt.Errorf("path %q is the root, which many may use: give the cluster a path of its own, as in /meros", path)
	}
	if strings.Contains(path, ",") {
		return fmt.Errorf("path %q must not have a comma: all servers stand before the one path", path)
	}
	for part := range strings.SplitSeq(path[1:], "/") {
		if part == "" || part == "." || part == ".." || part == "zookeeper" && strings.HasPrefix(path, "/zookeeper") {
			return fmt.Errorf("path %q must be names with slashes between, none of them empty, a dot or two, and not below /zookeeper", path)
		}
		for _, r := range part {
			if r < 0x21 || r > 0x7e {
				return fmt.Errorf("path %q must be printable ASCII without spaces", path)
			}
		}
	}
	return nil
}

// redact takes out what may be a password.
func redact(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return fmt.Sprintf("%.200s", s)
	}
	head, _, ok := strings.Cut(strings.TrimPrefix(s[:at], scheme), ":")
	if !ok { // a password that is alone
		head = ""
	}
	return fmt.Sprintf("%s%.60s:***%.200s", scheme, head, s[at:])
}
