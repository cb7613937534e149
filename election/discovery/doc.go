// Package discovery says who is there and who leads, by gossip (Das, Gupta and Motivala, "SWIM", 2002; hashicorp/memberlist).
//
// Masters, slaves and anything else that belongs beside them, a database say, run a [Gossip] under the same cluster name and key,
// knowing one or a few addresses to join. Each carries tags that all others see: its role, the address it serves, its version, and
// whatever the program adds. The leading master adds its reign, so that [Gossip.Detector] finds it.
//
// The library trusts what it is sent. Here every message is decrypted, and read from end to end, before the library has it: one of another
// cluster or with another key, random bytes, or one that lies about its length costs its sender the message and this member a line of the
// log now and then. The key can be changed while the cluster runs, see [Gossip.SetKeys].
//
// Gossip is eventually consistent and everyone who holds the key can say anything: it tells where to look, and grants nothing. Who
// really leads is told by the reign in a master's messages, and who a node is by its certificate.
package discovery
