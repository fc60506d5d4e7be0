//! How long a silent flow is remembered, in milliseconds, each number with its source.
//!
//! Forgetting a flow too early costs a live connection its packets ([`NoSyn`]); forgetting it too
//! late costs a place in a bounded table. Names in parentheses are Linux's connection tracking
//! (nf_conntrack), which people are used to.
//!
//! [`NoSyn`]: crate::verdict::Reason::NoSyn

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// TCP before the handshake is complete, SCTP before COOKIE ACK: seconds, so that a SYN flood
/// drains. Longer than the 16 s between the fifth and the sixth SYN (1 s doubling, RFC 6298 §2.1,
/// §5.5), so that a slow handshake stays one flow. A later SYN is judged anew, which costs nothing.
pub const HALF_OPEN: u64 = 20 * SECOND;

/// Half-open flows when they take more than half of what they may: every one that was not
/// answered within two retransmissions (1 s and 2 s, RFC 6298 §5.5) makes room.
pub const HALF_OPEN_UNDER_PRESSURE: u64 = 3 * SECOND;

/// Flows that both sides have ended, once the table is three quarters full: as long as a last
/// acknowledgment takes that was lost once (RFC 6298 §2, the least retransmission timeout of 1 s).
/// A server whose clients come and go by the thousand each second would else fill any table with
/// connections that are over, as they are remembered for a minute.
pub const OVER_UNDER_PRESSURE: u64 = 2 * SECOND;

/// TCP established: what kube-proxy sets (`--conntrack-tcp-timeout-established`, 24 h), so that no
/// connection that lives through a Service dies here. RFC 5382 REQ-5 asks for 2 h 4 min.
pub const TCP_ESTABLISHED: u64 = 24 * HOUR;

/// TCP after an RST that may be a third party's: the least that RFC 5382 REQ-5 permits for an idle
/// connection, and longer than Linux's first keepalive (`tcp_keepalive_time`, 2 h), which proves
/// that the connection lives.
pub const TCP_DOUBTFUL: u64 = 2 * HOUR + 4 * MINUTE;

/// TCP after one side's FIN; the other may go on sending: what kube-proxy sets
/// (`--conntrack-tcp-timeout-close-wait`, 1 h).
pub const TCP_HALF_CLOSED: u64 = HOUR;

/// TCP after both FINs: as long as Linux itself waits (`TCP_TIMEWAIT_LEN`).
pub const TCP_TIME_WAIT: u64 = MINUTE;

/// After an RST or ABORT that was real: for what is still under way (`TCP_CONNTRACK_CLOSE`,
/// `SCTP_CONNTRACK_CLOSED`).
pub const CLOSED: u64 = 10 * SECOND;

/// SCTP established (`SCTP_CONNTRACK_ESTABLISHED`): several of the 30 s heartbeats (RFC 9260 §16)
/// must have been lost.
pub const SCTP_ESTABLISHED: u64 = 210 * SECOND;

/// SCTP begun by a HEARTBEAT on a second path (`SCTP_CONNTRACK_HEARTBEAT_SENT`): RFC 9260 §16,
/// HB.interval.
pub const SCTP_HEARTBEAT: u64 = 30 * SECOND;

/// SCTP between SHUTDOWN and SHUTDOWN COMPLETE: one retransmission at the slowest (RFC 9260 §16,
/// RTO.Max).
pub const SCTP_SHUTDOWN: u64 = MINUTE;

/// UDP and echo, one way or one question and its answer (`nf_conntrack_udp_timeout`,
/// `nf_conntrack_icmp_timeout`): a DNS look-up does not hold its place for longer.
pub const SHORT_EXCHANGE: u64 = 30 * SECOND;

/// UDP that has been going both ways for more than [`LASTING`]: RFC 4787 REQ-5 forbids less than
/// two minutes (`nf_conntrack_udp_timeout_stream`).
pub const LASTING_EXCHANGE: u64 = 2 * MINUTE;

/// From when on an exchange lasts (`udp_packet`, `stream_ts`: two seconds after it began).
pub const LASTING: u64 = 2 * SECOND;

/// How long an answer is awaited when its conversation has lost its permission: what resolvers wait
/// (`RES_TIMEOUT`, resolv.conf(5): 5 s). A later one has nobody who waits for it. Not longer, because who
/// may begin from the same ports to the same ports has to wait for it, too.
pub const LATE_ANSWER: u64 = 5 * SECOND;

/// Protocols that are not looked into (`nf_conntrack_generic_timeout`).
pub const GENERIC: u64 = 10 * MINUTE;

/// How long the kernel waits for the rest of a fragmented packet (`IP_FRAG_TIME`, 30 s).
pub const FRAGMENTS: u64 = 30 * SECOND;
