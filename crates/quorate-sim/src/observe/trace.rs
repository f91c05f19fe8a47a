//! The trace of a run, in order: always as one hash, and as text when a seed is replayed.

use crate::base::clock::Moment;
use crate::plan::peer_letter;

/// The record of one run.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    lines: u64,
    is_printed: bool,
}

impl Trace {
    /// A trace that is only a hash.
    pub(crate) fn silent() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: 0, is_printed: false }
    }

    /// A trace that is printed as it grows.
    pub(crate) fn printed() -> Self {
        Self { is_printed: true, ..Self::silent() }
    }

    /// Returns true if anyone reads the text.
    pub(crate) fn is_read(&self) -> bool {
        self.is_printed
    }

    /// Adds one line: `numbers` go into the hash, `text` is what a reader sees.
    pub(crate) fn add(&mut self, at: Moment, peer: usize, numbers: &[u64], text: Option<String>) {
        self.lines += 1;
        self.mix(at.0);
        self.mix(peer as u64);
        for &number in numbers {
            self.mix(number);
        }
        if let Some(text) = text.filter(|_| self.is_printed) {
            let seconds = at.0 as f64 / 1e9;
            println!("{seconds:>12.6} {} {text}", peer_letter(peer));
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    fn mix(&mut self, number: u64) {
        let mut z = self.hash ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        self.hash = z ^ (z >> 32);
    }
}
