package egress

import (
	"fmt"
	"net/netip"
)

// closed are the ranges of addresses that are not the public internet's, from
// IANA's registries of special purposes, and those that carry another address
// inside. What is not of IPv4 and not of 2000::/3 is closed in any case.
var closed = prefixes(
	"0.0.0.0/8",       // this host, this network
	"10.0.0.0/8",      // private
	"100.64.0.0/10",   // carriers' NAT
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local, with clouds' metadata
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // relays of 6to4
	"192.168.0.0/16",  // private
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, with broadcast
	"2001::/23",       // protocol assignments, with Teredo
	"2001:db8::/32",   // documentation
	"2002::/16",       // 6to4: an IPv4 address inside
	"3fff::/20",       // documentation
)

var (
	global6 = netip.MustParsePrefix("2000::/3")
	nat64   = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052: a gateway turns the last 32 bits into an IPv4 address
)

func prefixes(all ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(all))
	for i, s := range all {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// errAddress is an address that is not on the public internet. It wraps
// ErrRefused.
type errAddress struct{ addr netip.Addr }

func (e *errAddress) Error() string {
	return fmt.Sprintf("the address %s is not on the public internet", e.addr)
}
func (e *errAddress) Unwrap() error { return ErrRefused }

// public returns nil for an address of the public internet, whatever form it
// comes in.
func public(a netip.Addr) error {
	refused := &errAddress{a}
	if !a.IsValid() || a.Zone() != "" {
		return refused
	}
	a = a.Unmap() // ::ffff:127.0.0.1 is dialled as 127.0.0.1
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	if a.Is6() && !global6.Contains(a) {
		return refused
	}
	for _, p := range closed {
		if p.Contains(a) {
			return refused
		}
	}
	return nil
}
