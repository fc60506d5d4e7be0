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
// only while user space lives (ALIVE, LEASE). A SYN that asks, RST, and what is in any way unusual, go
// to user space; of the answer to a SYN, the acknowledgment of that and FINs, all of a carried flow,
// it is told (TURNS), and they pass. What user space does not write back ends there, so without user
// space the pod is closed: the filters on eth0 stay, and the devices that they lead to are gone.
//
// Not here: who may talk to whom, and when a flow begins to be carried (sidecar/src/offload).
//
// Loads with CAP_BPF and CAP_NET_ADMIN, Linux 5.10.

#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>

#include "maps.h"
#include "packet.h"

// ---- Carrying a flow ------------------------------------------------------------------------

// Both as in src/flow/tcp.rs. A segment this near to what the pod expects is taken for the peer's.
#define NEAR (1 << 20)
// And what may be acknowledged beyond the pod's SYN ACK: data that the pod sent early.
#define EARLY_DATA (1 << 16)

// SYN and FIN have a place in the sequence (RFC 9293 §3.4).
static __always_inline __u32 segment_length(const struct packet *p)
{
	return p->payload + (p->flags & FIN ? 1 : 0) + (p->flags & SYN ? 1 : 0);
}

// Whether a packet is in its place: a SYN only as the one answer, and nothing before that. What the
// peer sends counts by what it acknowledges; all else is user space's.
static __always_inline bool is_in_place(const struct flow *flow, const struct packet *p,
					enum direction direction)
{
	if (p->flags & SYN)
		return flow->opening == ANSWER + direction &&
		       (direction == EGRESS || p->ack == flow->expects);
	if (flow->opening == LAST_ACK + INGRESS && direction == INGRESS)
		return p->ack - flow->expects <= EARLY_DATA;
	return flow->opening < ANSWER;
}

// Goes on to the step after this one.
static __always_inline void step(struct flow *flow, const struct packet *p,
				 enum direction direction)
{
	if (p->flags & SYN) {
		__u32 end = p->seq + segment_length(p);
		if (direction == INGRESS) { // which the pod will acknowledge
			flow->pod_ack = end;
			flow->peer_next = end;
		}
		flow->expects = end;
		flow->opening = LAST_ACK + !direction;
	} else if (flow->opening == LAST_ACK + direction) {
		flow->opening = OPEN;
	}
}

static __always_inline void note(struct __sk_buff *skb, struct flow *flow, const struct packet *p,
				 enum direction direction)
{
	__u64 segments = 1;
	__u64 bytes = p->l4 - ETH_HLEN + p->l4_len;
	// SCTP is segmented by chunks (GSO_BY_FRAGS), which nothing here tells.
	if (skb->gso_size && p->key.protocol != IPPROTO_SCTP) {
		__u32 payload = p->key.protocol == IPPROTO_TCP ? p->payload :
								  p->l4_len - UDP_MIN;
		segments = (payload + skb->gso_size - 1) / skb->gso_size;
		if (segments > 1)
			bytes += (segments - 1) * (bytes - payload);
	}
	// Both directions, and several queues, meet in one entry.
	__sync_fetch_and_add(&flow->packets[direction], segments);
	__sync_fetch_and_add(&flow->bytes[direction], bytes);
	if (p->key.protocol != IPPROTO_TCP)
		return;
	if (direction == EGRESS)
		flow->pod_ack = p->ack;
	else if (p->seq - flow->pod_ack < NEAR)
		flow->peer_next = p->seq + segment_length(p);
}

// Tells user space of a packet before it passes. Nobody is woken for it: user space looks before it
// judges what opens or ends a connection, and every second.
static __always_inline bool tell(const struct packet *p, __u64 now,
				 enum direction direction)
{
	struct turn turn = {
		.key = p->key,
		.at = now,
		.seq = p->seq,
		.ack = p->ack,
		.length = segment_length(p),
		.direction = direction,
		.flags = p->flags,
	};
	return bpf_ringbuf_output(&TURNS, &turn, sizeof(turn), BPF_RB_NO_WAKEUP) == 0;
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
	if (p->key.protocol == IPPROTO_TCP && (flow->opening || p->flags & (SYN | FIN))) {
		// Not told, because the ring is full: then user space gets the packet itself.
		if (!is_in_place(flow, p, direction) || !tell(p, now, direction))
			return false;
		step(flow, p, direction);
	}
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
