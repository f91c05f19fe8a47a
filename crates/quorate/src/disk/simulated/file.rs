//! Files of a simulated disk.

use std::io;

use super::{Disk, Mishap, SimulatedDisk, failed};
use crate::disk::file::File;

#[derive(Debug)]
pub(super) struct SimulatedFile {
    pub(super) disk: SimulatedDisk,
    pub(super) process: u64,
    pub(super) inode: usize,
}

impl File for SimulatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let disk = self.disk.disk();
        disk.check(self.process)?;
        let content = disk.inodes[self.inode].content();
        let rest = content.get(index(offset)..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let disk = &mut *self.disk.disk();
        let mishap = disk.begin(self.process)?;
        let longer =
            (index(offset) + bytes.len()).saturating_sub(disk.inodes[self.inode].content().len());
        let room = index(disk.room());
        let fitting = bytes.len() - longer.saturating_sub(room).min(bytes.len());
        let Disk { inodes, random, .. } = disk;
        let inode = &mut inodes[self.inode];
        if mishap.is_some() {
            inode.write(index(offset), &bytes[..random.below(bytes.len() + 1)]);
            return Err(failed());
        }
        if fitting == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        inode.write(index(offset), &bytes[..fitting]);
        Ok(fitting)
    }

    fn sync(&mut self) -> io::Result<()> {
        let disk = &mut *self.disk.disk();
        let mishap = disk.begin(self.process)?;
        let Disk { inodes, random, .. } = disk;
        let inode = &mut inodes[self.inode];
        match mishap {
            None => {
                inode.sync();
                Ok(())
            }
            Some(Mishap::Fail) => {
                inode.fail_sync(random);
                Err(failed())
            }
            Some(Mishap::Crash) => Err(failed()),
        }
    }

    fn length(&self) -> io::Result<u64> {
        let disk = self.disk.disk();
        disk.check(self.process)?;
        Ok(disk.inodes[self.inode].content().len() as u64)
    }
}

/// An offset as an index: simulated files are small.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
