// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
//
// What both sides see: the constants that user space sets before loading, and the maps. The layout
// of keys and values is repeated in sidecar/src/steering/bpf_sys.rs.
#pragma once

#include <linux/bpf.h>

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

// ---- Maps -----------------------------------------------------------------------------------

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
	// Of IP packets as they are on the wire: each segment with its headers.
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
	// TCP: the step of the handshake that is missing, and the direction in which it comes: see enum
	// opening. Until it is complete, user space is told of every packet.
	__u32 opening;
	// What that step must acknowledge when it is the peer's.
	__u32 expects;
};

enum direction { INGRESS, EGRESS };

// Each plus the direction in which the step comes.
enum opening {
	OPEN = 0,
	LAST_ACK = 1,
	ANSWER = 3, // SYN and ACK
};

// A packet that the kernel let pass and that changes what user space knows of its flow: a step of the
// handshake, or a FIN.
struct turn {
	struct flow_key key;
	__u64 at; // bpf_ktime_get_ns()
	__u32 seq, ack, length; // as RFC 9293 has them: SEG.SEQ, SEG.ACK, SEG.LEN
	__u8 direction, flags;
	__u16 zero;
};

// User space alone enters and removes, and never enters more than fit: nothing is evicted, so no
// count is lost. Not preallocated: memory is taken per flow.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct flow_key);
	__type(value, struct flow);
} FLOWS SEC(".maps");

// What user space is told of, in order. When it is full, the packet itself goes to user space.
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} TURNS SEC(".maps");

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
