//! The content of a file, and what of it a crash leaves.

use super::random::Random;

/// Written whole or not at all, by most disks.
const SECTOR: usize = 512;

/// The content of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    /// The content as a process reads it.
    content: Vec<u8>,
    /// The content as a crash leaves it, before the changes since.
    synced: Vec<u8>,
    unsynced: Vec<Write>,
}

#[derive(Clone, Debug)]
struct Write {
    offset: usize,
    bytes: Vec<u8>,
}

impl Inode {
    /// A file of which everything has been synced.
    pub(super) fn synced(content: Vec<u8>) -> Self {
        Self { synced: content.clone(), content, unsynced: Vec::new() }
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        put(&mut self.content, offset, bytes);
        self.unsynced.push(Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn sync(&mut self) {
        self.synced.clone_from(&self.content);
        self.unsynced.clear();
    }

    /// Part of it was written, the rest never will be, and a process reads it all the same.
    pub(super) fn fail_sync(&mut self, random: &mut Random) {
        for write in std::mem::take(&mut self.unsynced) {
            write.survive(&mut self.synced, random);
        }
    }

    pub(super) fn lose_power(&mut self, random: &mut Random) {
        self.fail_sync(random);
        self.content.clone_from(&self.synced);
    }
}

impl Write {
    /// Does what a crash leaves of a write, whatever became of those before it.
    fn survive(&self, content: &mut Vec<u8>, random: &mut Random) {
        let Self { offset, bytes } = self;
        match random.below(6) {
            0 => {}
            1 | 2 => put(content, *offset, bytes),
            3 => put(content, *offset, &bytes[..random.below(bytes.len() + 1)]),
            // The length has reached the disk before the bytes.
            4 => put(content, *offset, &vec![0; bytes.len()]),
            _ => put_sectors(content, *offset, bytes, random),
        }
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

/// Some sectors are written, in any order; the others are as they were, or zeros.
fn put_sectors(content: &mut Vec<u8>, offset: usize, bytes: &[u8], random: &mut Random) {
    let mut at = offset;
    let end = offset + bytes.len();
    while at < end {
        let next = ((at / SECTOR + 1) * SECTOR).min(end);
        if random.is_lucky() {
            put(content, at, &bytes[at - offset..next - offset]);
        }
        at = next;
    }
}
