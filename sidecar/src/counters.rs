//! Packets and bytes by direction and verdict: what the data path adds up, one lane a thread, and
//! the metrics side sums.
//!
//! Not here: names and formats of the metrics. A lane is written by one thread only and padded to
//! its own cache lines, so counting is an uncontended add.

use std::sync::atomic::{AtomicU64, Ordering};

use sidewall::flow::Counters as Total;
use sidewall::net::Direction;
use sidewall::verdict::Verdict;

/// Lanes that exist; a thread takes the one of its number modulo this.
pub const LANES: usize = 16;

/// One of each kind of verdict, in the order of [`slot`]. A rule's index is not a kind.
pub const KINDS: [Verdict; Verdict::COUNT] = Verdict::ALL;

/// Where a verdict is counted: its position in [`KINDS`].
#[must_use]
pub const fn slot(verdict: Verdict) -> usize {
    verdict.index()
}

/// All lanes.
#[derive(Debug, Default)]
pub struct Counters {
    lanes: [Lane; LANES],
}

impl Counters {
    /// The lane of the thread with this number.
    #[must_use]
    pub fn lane(&self, thread: usize) -> &Lane {
        &self.lanes[thread % LANES]
    }

    /// The sum over all lanes for one direction and one position of [`KINDS`].
    #[must_use]
    pub fn total(&self, direction: Direction, slot: usize) -> Total {
        let cells = self.lanes.iter().map(|lane| lane.cell(direction, slot));
        cells.fold(Total::default(), |sum, cell| Total {
            packets: sum.packets + cell.packets.load(Ordering::Relaxed),
            bytes: sum.bytes + cell.bytes.load(Ordering::Relaxed),
        })
    }

    /// Packets that could not be written back to their device, over all lanes.
    #[must_use]
    pub fn write_errors(&self) -> u64 {
        let lanes = self.lanes.iter();
        lanes
            .map(|lane| lane.write_errors.load(Ordering::Relaxed))
            .sum()
    }

    /// Rejects (TCP RST, ICMP prohibited) that were sent to the own pod, over all lanes.
    #[must_use]
    pub fn rejects(&self) -> u64 {
        let lanes = self.lanes.iter();
        lanes.map(|lane| lane.rejects.load(Ordering::Relaxed)).sum()
    }
}

/// What one thread counts. 128 bytes are two cache lines: x86 fetches lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub struct Lane {
    cells: [[Cell; KINDS.len()]; 2],
    /// Packets that could not be written back to their device.
    write_errors: AtomicU64,
    /// Rejects that were sent to the own pod.
    rejects: AtomicU64,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            cells: std::array::from_fn(|_| std::array::from_fn(|_| Cell::default())),
            write_errors: AtomicU64::new(0),
            rejects: AtomicU64::new(0),
        }
    }
}

impl Lane {
    /// Counts packets (segments of a segmented one) and their bytes.
    pub fn count(&self, direction: Direction, verdict: Verdict, packets: u64, bytes: u64) {
        let cell = self.cell(direction, slot(verdict));
        cell.packets.fetch_add(packets, Ordering::Relaxed);
        cell.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts a packet that could not be written back.
    pub fn failed_write(&self) {
        self.write_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an answer to a blocked packet.
    pub fn rejected(&self) {
        self.rejects.fetch_add(1, Ordering::Relaxed);
    }

    fn cell(&self, direction: Direction, slot: usize) -> &Cell {
        &self.cells[direction as usize][slot]
    }
}

#[derive(Debug, Default)]
struct Cell {
    packets: AtomicU64,
    bytes: AtomicU64,
}

#[cfg(test)]
mod tests {
    use sidewall::verdict::Reason;

    use super::*;

    #[test]
    fn every_kind_of_verdict_has_its_own_slot() {
        for (position, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(slot(kind), position, "{kind:?}");
        }
    }

    #[test]
    fn lanes_are_summed_and_directions_kept_apart() {
        let counters = Counters::default();
        let verdict = Verdict::Block(Reason::NoSyn);
        counters.lane(0).count(Direction::Ingress, verdict, 1, 60);
        counters
            .lane(1)
            .count(Direction::Ingress, verdict, 45, 65_000);
        counters.lane(1).count(Direction::Egress, verdict, 1, 40);
        let total = counters.total(Direction::Ingress, slot(verdict));
        assert_eq!((total.packets, total.bytes), (46, 65_060));
        assert_eq!(counters.total(Direction::Egress, slot(verdict)).packets, 1);
    }
}
