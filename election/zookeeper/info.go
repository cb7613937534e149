package zookeeper

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/meros-project/meros/election"
)

// What software for Mesos looks for: the child with this name and the lowest number.
const (
	infoLabel  = "json.info_"
	sequence   = 10 // digits that the ensemble appends
	maxInfo    = 64 << 10
	resolveFor = time.Second
)

// masterInfo is mesos.MasterInfo in JSON, as far as it is written here.
type masterInfo struct {
	ID       string      `json:"id"`
	IP       uint32      `json:"ip"` // in network order, read as a little-endian number
	Port     int         `json:"port"`
	PID      string      `json:"pid,omitempty"`
	Hostname string      `json:"hostname,omitempty"`
	Version  string      `json:"version,omitempty"`
	Address  infoAddress `json:"address"`
}

type infoAddress struct {
	Hostname string `json:"hostname,omitempty"`
	IP       string `json:"ip,omitempty"`
	Port     int    `json:"port"`
}

// packInfo is the record of a leader. A name is resolved for those who want an address; where that fails, they have the name.
func packInfo(ctx context.Context, p election.Peer) ([]byte, error) {
	host, portText, err := net.SplitHostPort(p.Address)
	if err != nil {
		return nil, err
	}
	port, err := net.LookupPort("tcp", portText)
	if err != nil {
		return nil, err
	}
	ip := net.ParseIP(host)
	if ip == nil {
		ctx, cancel := context.WithTimeout(ctx, resolveFor)
		defer cancel()
		if found, err := net.DefaultResolver.LookupIP(ctx, "ip", host); err == nil && len(found) > 0 {
			ip = found[0]
			if at := slices.IndexFunc(found, func(ip net.IP) bool { return ip.To4() != nil }); at >= 0 {
				ip = found[at]
			}
		}
	}
	info := masterInfo{ID: p.ID, Port: port, Hostname: host, Version: "1.11.0", Address: infoAddress{Hostname: host, Port: port}}
	if ip != nil {
		info.Address.IP = ip.String()
		info.PID = "master@" + net.JoinHostPort(ip.String(), portText)
	}
	if v4 := ip.To4(); v4 != nil {
		info.IP = binary.LittleEndian.Uint32(v4)
	}
	return json.Marshal(info)
}

// unpackInfo reads a leader's record, also one that Mesos wrote.
func unpackInfo(data []byte) (election.Peer, error) {
	var info masterInfo
	if len(data) > maxInfo {
		return election.Peer{}, errors.New("zookeeper: the leader's record is too long")
	}
	if err := json.Unmarshal(data, &info); err != nil {
		return election.Peer{}, err
	}
	host, port := info.Address.Hostname, info.Address.Port
	if host == "" {
		host = info.Address.IP
	}
	if host == "" {
		host = info.Hostname
	}
	if port == 0 {
		port = info.Port
	}
	if host == "" && info.IP != 0 {
		var b [4]byte
		binary.LittleEndian.PutUint32(b[:], info.IP)
		host = net.IP(b[:]).String()
	}
	if host == "" || port < 1 || port > 65535 {
		return election.Peer{}, errors.New("zookeeper: the leader's record has no address")
	}
	return election.Peer{ID: info.ID, Address: net.JoinHostPort(host, strconv.Itoa(port))}, nil
}

// numbered returns the names that begin with prefix and end with a number, by their number.
func numbered(names []string, prefix string) []string {
	var list []string
	for _, n := range names {
		if rest, ok := strings.CutPrefix(n, prefix); ok && len(rest) == sequence && strings.Trim(rest, "0123456789") == "" {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list
}

// leaderRecord reads who leads; the zero Peer if nobody does. The channel has an event when that may have changed.
func (s *session) leaderRecord() (p election.Peer, owner int64, changed <-chan zk.Event, err error) {
	for {
		var names []string
		err = s.retry(func() (err error) {
			names, _, changed, err = s.conn.ChildrenW(s.address.Path)
			return err
		})
		if errors.Is(err, zk.ErrNoNode) { // no cluster yet
			var there bool
			err = s.retry(func() (err error) {
				there, _, changed, err = s.conn.ExistsW(s.address.Path)
				return err
			})
			if err == nil && there {
				continue
			}
			return p, 0, changed, err
		}
		list := numbered(names, infoLabel)
		if err != nil || len(list) == 0 {
			return p, 0, changed, err
		}
		data, stat, err := s.get(s.address.Path + "/" + list[0])
		if errors.Is(err, zk.ErrNoNode) {
			continue
		}
		if err != nil {
			return p, 0, changed, err
		}
		if p, err = unpackInfo(data); err != nil {
			s.log.Warn("the leader's record cannot be read", "node", list[0], "err", err)
			return election.Peer{}, 0, changed, nil
		}
		return p, stat.EphemeralOwner, changed, nil
	}
}
