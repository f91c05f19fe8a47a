//! Memory of what was told of certificates, and of how their files looked.

use quorate::Event;

/// The CAs that were told to be not trusted: each is told once while it stays so, by a look or when
/// files are read.
#[derive(Debug, Default)]
pub(crate) struct Untrusted {
    told: Vec<Event>,
}

impl Untrusted {
    /// Returns those among `found` that are to be told, and takes all of them for told.
    pub(crate) fn due(&mut self, found: Vec<Event>) -> Vec<Event> {
        let due = found.iter().filter(|event| !self.told.contains(event)).cloned().collect();
        self.told = found;
        due
    }

    pub(crate) fn was_told(&mut self, event: &Event) {
        if matches!(event, Event::CaNotTrusted { .. }) && !self.told.contains(event) {
            self.told.push(event.clone());
        }
    }
}

/// A watch over files, which says when changed ones are to be read: once they are the same in two
/// looks, for certificate and key are two files, and whoever writes them writes one after the
/// other. Those that were refused are tried again at every look: they may become valid by time.
#[derive(Debug)]
pub(crate) struct FileWatch {
    /// The fingerprint of the files that are in use.
    used: u64,
    /// The fingerprint at the last look.
    last: u64,
}

impl FileWatch {
    /// Begins with the files as they were read first.
    pub(crate) fn new(fingerprint: u64) -> Self {
        Self { used: fingerprint, last: fingerprint }
    }

    /// Notes that the files were read and are in use.
    pub(crate) fn used(&mut self, fingerprint: u64) {
        self.used = fingerprint;
        self.last = fingerprint;
    }

    /// Looks at the files, and returns true if they are to be read.
    pub(crate) fn is_due(&mut self, fingerprint: u64) -> bool {
        let is_stable = std::mem::replace(&mut self.last, fingerprint) == fingerprint;
        is_stable && fingerprint != self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_when_they_have_changed_and_stay_until_they_are_used() {
        let mut watch = FileWatch::new(1);
        let due: Vec<bool> = [1, 1, 2, 3, 3, 3].map(|look| watch.is_due(look)).into();
        assert_eq!(due, [false, false, false, false, true, true], "refused: tried again");
        watch.used(3);
        let due: Vec<bool> = [3, 3, 1, 1].map(|look| watch.is_due(look)).into();
        assert_eq!(due, [false, false, false, true]);
    }
}
