package fetch

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
)

// A reach is from where an address can be reached.
type reach int

const (
	public  reach = iota
	private       // within a site
	special       // this machine, this link, everybody, or a cloud's metadata
)

// metadata are addresses at which clouds hand secrets to whoever asks from a machine of theirs, beside those that are link-local.
var metadata = []netip.Addr{netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("192.0.0.192"),
	netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd20:ce::254")}

var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")
	reserved    = netip.MustParsePrefix("240.0.0.0/4")
	shared      = netip.MustParsePrefix("100.64.0.0/10")
	nat64       = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour   = netip.MustParsePrefix("2002::/16")
	compatible  = netip.MustParsePrefix("::/96")
)

// classify says what kind of address a is, for messages too.
func classify(a netip.Addr) (reach, string) {
	a = a.Unmap().WithZone("")
	switch {
	case a.IsUnspecified() || thisNetwork.Contains(a):
		return special, "an unspecified address"
	case a.IsLoopback():
		return special, "a loopback address"
	}
	for _, m := range metadata {
		if a == m {
			return special, "a metadata service's address"
		}
	}
	// An IPv6 address that stands for an IPv4 one is as good as that.
	if b := a.As16(); a.Is6() {
		switch {
		case nat64.Contains(a) || compatible.Contains(a):
			return classify(netip.AddrFrom4([4]byte(b[12:])))
		case sixToFour.Contains(a):
			return classify(netip.AddrFrom4([4]byte(b[2:6])))
		}
	}
	switch {
	case a.IsLinkLocalUnicast():
		return special, "a link-local address"
	case a.IsMulticast():
		return special, "a multicast address"
	case reserved.Contains(a):
		return special, "a reserved address"
	case a.IsPrivate() || shared.Contains(a):
		return private, "a private address"
	}
	return public, "a public address"
}

// A refused address is one that may not be connected to.
type refusedAddress struct {
	addr netip.Addr
	what string
	from bool // a public address redirects to it
}

func (r *refusedAddress) Error() string {
	if r.from {
		return fmt.Sprintf("a public address redirects to %s, %s, which this slave does not allow", r.addr, r.what)
	}
	return fmt.Sprintf("%s is %s, which this slave does not allow", r.addr, r.what)
}

// check decides whether a may be connected to after a hop that reached before.
func check(a netip.Addr, before reach, redirected bool, allow []netip.Prefix) (reach, error) {
	a = a.Unmap()
	r, what := classify(a)
	for _, p := range allow {
		if p.Contains(a.WithZone("")) {
			return r, nil
		}
	}
	if r == special || redirected && before == public && r == private {
		return r, &refusedAddress{a, what, redirected && before == public}
	}
	return r, nil
}

// RefuseSpecial is a net.Dialer's ControlContext that refuses loopback, link-local, multicast and metadata addresses.
func RefuseSpecial(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	_, err = check(at.Addr(), public, false, nil)
	return err
}
