// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
//
// The kernel's half of the data path: five small programs on clsact hooks, and the flows that the
// kernel carries.
//
//             eth0 ingress: eth_in ──┬─ carried ─────────────────────────► the pod
//                                    └─ all else ─► sw-in ─► user space
//   user space ─► sw-in ingress: to_pod ─► eth0 ingress (marked: passes) ─► the pod
//
//             eth0 egress: eth_out ──┬─ carried ─────────────────────────► the network
//                                    └─ all else ─► sw-out ─► user space
//   user space ─► sw-out ingress: to_net ─► eth0 egress (from sw-out: passes) ─► the network
//
// Nothing is decided here. A flow is carried because user space entered it after its verdict, and
// only while user space lives (ALIVE, LEASE). What opens or ends a flow, and what is in any way unusual,
// goes to user space. What user space does not write back ends there, so without user space the
// pod is closed: the filters on eth0 stay, and the devices that they lead to are gone.
//
// Not here: who may talk to whom, and when a flow begins to be carried (sidecar/src/offload).
//
// Loads with CAP_BPF and CAP_NET_ADMIN, Linux 5.10. Without CAP_PERFMON the verifier refuses
// arithmetic on packet pointers, so headers are copied to the stack.

#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// ---- What user space says, once, before loading ---------------------------------------------

// Interface numbers: eth0 and the two TUN devices.
const volatile __u32 ETH = 0;
const volatile __u32 SW_IN = 0;
const volatile __u32 SW_OUT = 0;
// Tells what to_pod hands to eth_in; random for each run. A packet from another
// network namespace comes with mark 0, and setting a mark takes NET_ADMIN (NET_RAW since 5.17).
const volatile __u32 MARK = 0;
// The pod's addresses; 0 fills empty places, which no packet has as its destination.
#define ADDRESSES 4
const volatile __be32 IPV4[ADDRESSES] = {};
// IPv6 with the prefix that is on the link.
struct ipv6_address {
	__u32 used; // else the place is empty
	__be32 address[4], network[4], mask[4];
};
const volatile struct ipv6_address IPV6[ADDRESSES] = {};

// ---- What both sides see --------------------------------------------------------------------

// The layout of these is repeated in sidecar/src/steering/bpf_sys.rs.

// IPv4 addresses stand in the first word, the others are 0.
struct flow_key {
	__be32 pod[4];
	__be32 peer[4];
	__be16 pod_port;
	__be16 peer_port;
	__u8 protocol;
	__u8 family; // 4 or 6
	__u16 zero;
};

struct flow {
	// By direction: INGRESS, EGRESS. A segmented packet counts its segments.
	__u64 packets[2];
	// IP packets, headers included; the headers of a segmented packet count once.
	__u64 bytes[2];
	// bpf_ktime_get_ns() of the latest packet.
	__u64 seen;
	// From this moment on its packets go to user space until it enters the flow anew.
	__u64 review;
	// TCP: the latest number that the pod acknowledged, and the one after the peer's latest
	// segment. By these user space knows a real RST from a blind one.
	__u32 pod_ack;
	__u32 peer_next;
	// User space's number for this entry: the same flow may be entered again.
	__u64 serial;
};

enum direction { INGRESS, EGRESS };

// User space alone enters and removes, and never enters more than fit: nothing is evicted, so no
// count is lost. Not preallocated: memory is taken per flow.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, struct flow);
} FLOWS SEC(".maps");

// Flows are carried while sw-in is here. The kernel strikes the entry when the device goes, and the
// device goes with user space, however that ends: no flow outlives its judge.
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} ALIVE SEC(".maps");

// And until this moment (bpf_ktime_get_ns), which user space moves on: one that hangs cannot take
// flows back either.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} LEASE SEC(".maps");

// ---- Reading a packet -----------------------------------------------------------------------

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
	__u32 seq, ack, end; // TCP
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

// An ordinary segment of an established connection: nothing that opens or ends it.
static __always_inline bool read_tcp(struct __sk_buff *skb, struct packet *p,
				     enum direction direction)
{
	struct tcp_start tcp = {};
	if (p->l4_len < TCP_MIN || bpf_skb_load_bytes(skb, p->l4, &tcp, sizeof(tcp)))
		return false;
	__u32 header = (tcp.offset >> 4) * 4;
	if (header < TCP_MIN || header > p->l4_len)
		return false;
	if ((tcp.flags & (FIN | SYN | RST | ACK)) != ACK)
		return false;
	ports(p, tcp.source, tcp.destination, direction);
	p->seq = bpf_ntohl(tcp.seq);
	p->ack = bpf_ntohl(tcp.ack);
	p->end = p->seq + (p->l4_len - header);
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

// ---- Carrying a flow ------------------------------------------------------------------------

// A segment this near to what the pod expects is taken for the peer's: as in src/flow/tcp.rs.
#define NEAR (1 << 20)

static __always_inline void note(struct __sk_buff *skb, struct flow *flow, const struct packet *p,
				 enum direction direction)
{
	__u64 segments = 1;
	if (skb->gso_size) {
		__u32 header = p->key.protocol == IPPROTO_TCP ? p->l4_len - (p->end - p->seq) :
								 UDP_MIN;
		__u32 payload = p->l4_len - header;
		segments = (payload + skb->gso_size - 1) / skb->gso_size;
	}
	// Both directions, and several queues, meet in one entry.
	__sync_fetch_and_add(&flow->packets[direction], segments);
	__sync_fetch_and_add(&flow->bytes[direction], p->l4 - ETH_HLEN + p->l4_len);
	if (p->key.protocol != IPPROTO_TCP)
		return;
	if (direction == EGRESS)
		flow->pod_ack = p->ack;
	else if (p->seq - flow->pod_ack < NEAR)
		flow->peer_next = p->end;
}

static __always_inline bool is_carried(struct __sk_buff *skb, const struct packet *p,
				       enum direction direction)
{
	struct flow *flow = bpf_map_lookup_elem(&FLOWS, &p->key);
	if (!flow)
		return false;
	__u32 zero = 0;
	__u64 *lease = bpf_map_lookup_elem(&LEASE, &zero);
	__u64 now = bpf_ktime_get_ns();
	if (!lease || now >= *lease || now >= flow->review ||
	    !bpf_map_lookup_elem(&ALIVE, &zero))
		return false;
	flow->seen = now;
	note(skb, flow, p, direction);
	return true;
}

// ---- The hooks ------------------------------------------------------------------------------

// Whether the packet may go on without a word of user space.
static __always_inline bool passes(struct __sk_buff *skb, enum direction direction)
{
	// What is on the wire counts: a raw socket may tell the kernel something else.
	__be16 ethertype = 0;
	if (skb->vlan_present || bpf_skb_load_bytes(skb, offsetof(struct ethhdr, h_proto),
						    &ethertype, sizeof(ethertype)))
		return false;
	struct packet p = {};
	switch (ethertype) {
	case bpf_htons(ETH_P_ARP):
		return true;
	case bpf_htons(ETH_P_IP):
		return read_ipv4(skb, &p, direction) && is_carried(skb, &p, direction);
	case bpf_htons(ETH_P_IPV6): {
		struct ipv6hdr ip = {};
		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
			return false;
		return is_link_upkeep(skb, &ip, direction) ||
		       (read_ipv6(skb, &p, &ip, direction) && is_carried(skb, &p, direction));
	}
	default:
		return false;
	}
}

SEC("classifier")
int eth_in(struct __sk_buff *skb)
{
	if (skb->mark == MARK) { // from to_pod
		skb->mark = 0;
		bpf_skb_change_type(skb, PACKET_HOST);
		return TC_ACT_OK;
	}
	// A bridge floods frames for others; the stack would ignore them.
	if (skb->pkt_type == PACKET_OTHERHOST)
		return TC_ACT_SHOT;
	return passes(skb, INGRESS) ? TC_ACT_OK : bpf_redirect(SW_IN, 0);
}

SEC("classifier")
int eth_out(struct __sk_buff *skb)
{
	// From to_net. The kernel writes this number when a packet arrives on a device; what a
	// process sends has 0, whatever it sets on its socket.
	if (skb->ingress_ifindex == SW_OUT)
		return TC_ACT_OK;
	return passes(skb, EGRESS) ? TC_ACT_OK : bpf_redirect(SW_OUT, 0);
}

// On to the pod as if it had just arrived on eth0.
static __always_inline int deliver(struct __sk_buff *skb)
{
	// No addresses: eth_in tells the stack that the frame is for this host.
	struct ethhdr eth = { .h_proto = skb->protocol };
	if (bpf_skb_change_head(skb, sizeof(eth), 0) ||
	    bpf_skb_store_bytes(skb, 0, &eth, sizeof(eth), 0))
		return TC_ACT_SHOT;
	skb->mark = MARK;
	return bpf_redirect(ETH, BPF_F_INGRESS);
}

// What user space wrote to sw-in.
SEC("classifier")
int to_pod(struct __sk_buff *skb)
{
	return deliver(skb);
}

// A packet that begins with its IP header.
static __always_inline bool is_for_pod(struct __sk_buff *skb)
{
	__be32 to[4] = {};
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, offsetof(struct iphdr, daddr), to, sizeof(*to)))
			return false;
#pragma unroll
		for (int i = 0; i < ADDRESSES; i++)
			if (to[0] && to[0] == IPV4[i])
				return true;
		return false;
	}
	if (bpf_skb_load_bytes(skb, offsetof(struct ipv6hdr, daddr), to, sizeof(to)))
		return false;
#pragma unroll
	for (int i = 0; i < ADDRESSES; i++) {
		const volatile struct ipv6_address *own = &IPV6[i];
		__be32 differs = !own->used;
#pragma unroll
		for (int n = 0; n < 4; n++)
			differs |= to[n] ^ own->address[n];
		if (!differs)
			return true;
	}
	return false;
}

// What user space wrote to sw-out: on to the next hop that the routes of eth0 name; an answer to a
// packet that it blocked, back to the pod.
SEC("classifier")
int to_net(struct __sk_buff *skb)
{
	if (is_for_pod(skb))
		return deliver(skb);
	// bpf_redirect_neigh takes this header off again, and drops packets that have none.
	if (bpf_skb_change_head(skb, sizeof(struct ethhdr), 0))
		return TC_ACT_SHOT;
	return bpf_redirect_neigh(ETH, NULL, 0, 0);
}

// On sw-in's way to user space, only what eth0 brought: a process that binds a socket to sw-in
// would else speak as the network. What it sends is judged as what it is, egress.
SEC("classifier")
int guard(struct __sk_buff *skb)
{
	return skb->ingress_ifindex == ETH ? TC_ACT_OK : bpf_redirect(SW_OUT, 0);
}

// Helpers such as bpf_redirect_neigh are for programs under the GPL, which this one may be used
// under.
char LICENSE[] SEC("license") = "Dual BSD/GPL";
