// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
//
// Reading a packet, as far as it is one that a flow may be carried by: whole, without options or
// extension headers, and nothing that opens or ends a connection. "No" means user space, which reads
// everything.
//
// Without CAP_PERFMON the verifier refuses arithmetic on packet pointers, so headers are copied to
// the stack.
#pragma once

#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"

#define IPV4_NO_OPTIONS 0x45
#define IPV4_FRAGMENT bpf_htons(0x3fff) // more fragments, or an offset
#define HOP_BY_HOP 0
#define TCP_MIN 20
#define UDP_MIN 8
// From linux/sctp.h (kernel): RFC 9260 §3.2.
#define SCTP_HEADER 12
#define SCTP_DATA 0
#define SCTP_SACK 3
#define SCTP_CHUNK_MIN 4

enum tcp_flags { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

// As in the kernel's own tables (RFC 4861 §7.1, RFC 2710 §3, RFC 3810 §5.2).
#define ND_FIRST 133 // router solicitation
#define ND_LAST 137  // redirect
#define MLD_FIRST 130 // query
#define MLD_LAST 132  // done
#define MLD2_REPORT 143

struct packet {
	struct flow_key key;
	__u32 l4;     // where the transport header begins
	__u32 l4_len; // how long header and payload are
	// TCP
	__u32 seq, ack, payload;
	__u8 flags;
};

struct tcp_start {
	__be16 source, destination;
	__be32 seq, ack;
	__u8 offset, flags;
};

struct sctp_start {
	__be16 source, destination;
	__be32 tag, checksum;
	__u8 chunk, flags;
	__be16 length;
};

static __always_inline void ports(struct packet *p, __be16 source, __be16 destination,
				  enum direction direction)
{
	p->key.pod_port = direction == EGRESS ? source : destination;
	p->key.peer_port = direction == EGRESS ? destination : source;
}

// A segment of a connection, from the answer to its SYN on: no RST. SYN and FIN are not for passing
// unseen.
static __always_inline bool read_tcp(struct __sk_buff *skb, struct packet *p,
				     enum direction direction)
{
	struct tcp_start tcp = {};
	if (p->l4_len < TCP_MIN || bpf_skb_load_bytes(skb, p->l4, &tcp, sizeof(tcp)))
		return false;
	__u32 header = (tcp.offset >> 4) * 4;
	if (header < TCP_MIN || header > p->l4_len)
		return false;
	if ((tcp.flags & (RST | ACK)) != ACK || (tcp.flags & (SYN | FIN)) == (SYN | FIN))
		return false;
	ports(p, tcp.source, tcp.destination, direction);
	p->seq = bpf_ntohl(tcp.seq);
	p->ack = bpf_ntohl(tcp.ack);
	p->payload = p->l4_len - header;
	p->flags = tcp.flags;
	return true;
}

static __always_inline bool read_udp(struct __sk_buff *skb, struct packet *p,
				     enum direction direction)
{
	__be16 udp[2] = {};
	if (p->l4_len < UDP_MIN || bpf_skb_load_bytes(skb, p->l4, udp, sizeof(udp)))
		return false;
	ports(p, udp[0], udp[1], direction);
	return true;
}

// Data, or an acknowledgment with nothing bundled behind it (control chunks come before data
// chunks, RFC 9260 §6.10, so nothing hides behind data).
static __always_inline bool read_sctp(struct __sk_buff *skb, struct packet *p,
				      enum direction direction)
{
	struct sctp_start sctp = {};
	if (p->l4_len < SCTP_HEADER + SCTP_CHUNK_MIN ||
	    bpf_skb_load_bytes(skb, p->l4, &sctp, sizeof(sctp)))
		return false;
	__u32 length = (bpf_ntohs(sctp.length) + 3) & ~3;
	if (sctp.chunk != SCTP_DATA &&
	    (sctp.chunk != SCTP_SACK || SCTP_HEADER + length != p->l4_len))
		return false;
	ports(p, sctp.source, sctp.destination, direction);
	return true;
}

static __always_inline bool read_transport(struct __sk_buff *skb, struct packet *p,
					   enum direction direction)
{
	switch (p->key.protocol) {
	case IPPROTO_TCP:
		return read_tcp(skb, p, direction);
	case IPPROTO_UDP:
		return read_udp(skb, p, direction);
	case IPPROTO_SCTP:
		return read_sctp(skb, p, direction);
	default:
		return false;
	}
}

// A header says how long its packet is; the frame may be longer (padding), never shorter. Packets
// of more than 65 535 bytes (BIG TCP) say 0 and go to user space, in segments.
static __always_inline bool fits(struct __sk_buff *skb, struct packet *p, __u32 end)
{
	if (end < p->l4 || end > skb->len)
		return false;
	p->l4_len = end - p->l4;
	return true;
}

// Without options and whole: anything else goes to user space.
static __always_inline bool read_ipv4(struct __sk_buff *skb, struct packet *p,
				      enum direction direction)
{
	struct iphdr ip = {};
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
		return false;
	if (*(__u8 *)&ip != IPV4_NO_OPTIONS || ip.frag_off & IPV4_FRAGMENT)
		return false;
	p->l4 = ETH_HLEN + sizeof(ip);
	if (!fits(skb, p, ETH_HLEN + bpf_ntohs(ip.tot_len)))
		return false;
	p->key.family = 4;
	p->key.protocol = ip.protocol;
	p->key.pod[0] = direction == EGRESS ? ip.saddr : ip.daddr;
	p->key.peer[0] = direction == EGRESS ? ip.daddr : ip.saddr;
	return read_transport(skb, p, direction);
}

// Without extension headers (so without fragments).
static __always_inline bool read_ipv6(struct __sk_buff *skb, struct packet *p,
				      const struct ipv6hdr *ip, enum direction direction)
{
	p->l4 = ETH_HLEN + sizeof(*ip);
	if (!fits(skb, p, p->l4 + bpf_ntohs(ip->payload_len)))
		return false;
	p->key.family = 6;
	p->key.protocol = ip->nexthdr;
	const struct in6_addr *pod = direction == EGRESS ? &ip->saddr : &ip->daddr;
	const struct in6_addr *peer = direction == EGRESS ? &ip->daddr : &ip->saddr;
	__builtin_memcpy(p->key.pod, pod, sizeof(*pod));
	__builtin_memcpy(p->key.peer, peer, sizeof(*peer));
	return read_transport(skb, p, direction);
}

static __always_inline bool is_on_link(const struct in6_addr *to)
{
	const __be32 *word = to->s6_addr32;
	if ((word[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000) || // fe80::/10
	    (word[0] & bpf_htonl(0xffff0000)) == bpf_htonl(0xff020000))	  // ff02::/16
		return true;
#pragma unroll
	for (int i = 0; i < ADDRESSES; i++) {
		const volatile struct ipv6_address *own = &IPV6[i];
		__be32 differs = !own->used;
#pragma unroll
		for (int n = 0; n < 4; n++)
			differs |= (word[n] & own->mask[n]) ^ own->network[n];
		if (!differs)
			return true;
	}
	return false;
}

// What IPv6 needs to work at all: neighbour discovery and listener reports (a bridge that snoops
// forgets a pod whose reports it misses). No router passes these on: hop limit 255 inwards, an
// on-link destination outwards, so that nothing hidden in them goes far.
static __always_inline bool is_link_upkeep(struct __sk_buff *skb, const struct ipv6hdr *ip,
					   enum direction direction)
{
	if (ip->nexthdr == IPPROTO_ICMPV6 && ip->hop_limit == 255) {
		__u8 icmp[2] = {}; // type and code
		if (bpf_skb_load_bytes(skb, ETH_HLEN + sizeof(*ip), icmp, sizeof(icmp)))
			return false;
		return icmp[0] >= ND_FIRST && icmp[0] <= ND_LAST && icmp[1] == 0 &&
		       (direction == INGRESS || is_on_link(&ip->daddr));
	}
	if (ip->nexthdr == HOP_BY_HOP && ip->hop_limit == 1 && ip->daddr.s6_addr[0] == 0xff) {
		__u8 option[10] = {}; // the router alert (RFC 2711), then type and code
		if (bpf_skb_load_bytes(skb, ETH_HLEN + sizeof(*ip), option, sizeof(option)))
			return false;
		__u8 type = option[8];
		return option[0] == IPPROTO_ICMPV6 && option[1] == 0 &&
		       ((type >= MLD_FIRST && type <= MLD_LAST) || type == MLD2_REPORT);
	}
	return false;
}
