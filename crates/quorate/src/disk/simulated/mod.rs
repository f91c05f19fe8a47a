//! A disk in memory that does what disks do when the power fails: for tests and the simulator.
//!
//! What a process sees and what a crash leaves are two things here. Writes and names that were
//! not synced survive or not, each by a draw of its own: whole, torn at any byte, in some
//! sectors only, or as zeros. A sync that fails drops what it should have written, while it can
//! still be read. All draws come from one seed.

mod file;
mod inode;
mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::file::{Directory, DirectoryLock, File};
use file::SimulatedFile;
use inode::Inode;
use random::Random;

/// A disk with one directory, which outlives the processes that use it. Clones are one disk.
#[derive(Clone)]
pub struct SimulatedDisk(Arc<Mutex<Disk>>);

/// An event at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The power fails while it is under way. Every call fails from then on, until
    /// [`SimulatedDisk::lose_power`] says what is left.
    Crash,
    /// It fails, and the disk goes on.
    Fail,
}

#[derive(Clone, Debug)]
struct Disk {
    path: PathBuf,
    inodes: Vec<Inode>,
    /// The names as a process sees them.
    names: BTreeMap<String, usize>,
    /// The names that a crash leaves, before the changes since.
    synced_names: BTreeMap<String, usize>,
    unsynced: Vec<NameChange>,
    is_locked: bool,
    /// The process that uses the disk; what older ones have open is dead.
    process: u64,
    /// The start of the machine.
    boot: u64,
    is_down: bool,
    operations: u64,
    mishap: Option<(u64, Mishap)>,
    capacity: u64,
    random: Random,
}

/// A change of the directory, which happens whole or not at all.
#[derive(Clone, Debug)]
enum NameChange {
    Name { name: String, inode: usize },
    Remove { name: String },
    Rename { from: String, to: String, inode: usize },
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Name { name, inode } => _ = names.insert(name.clone(), *inode),
            Self::Remove { name } => _ = names.remove(name),
            Self::Rename { from, to, inode } => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }
}

impl SimulatedDisk {
    /// An empty disk without bound.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Disk {
            path: PathBuf::from("/simulated"),
            inodes: Vec::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            unsynced: Vec::new(),
            is_locked: false,
            process: 0,
            boot: 1,
            is_down: false,
            operations: 0,
            mishap: None,
            capacity: u64::MAX,
            random: Random(seed),
        })))
    }

    /// Another disk with the same content.
    #[must_use]
    pub fn copy(&self, seed: u64) -> Self {
        let mut disk = self.disk().clone();
        disk.random = Random(seed);
        disk.is_locked = false;
        Self(Arc::new(Mutex::new(disk)))
    }

    /// The directory, for the process that uses it now.
    pub fn directory(&self) -> Arc<dyn Directory> {
        let disk = self.disk();
        let path = disk.path.clone();
        let process = disk.process;
        drop(disk);
        Arc::new(SimulatedDirectory { disk: self.clone(), path, process })
    }

    /// Operations so far that change anything or make it last.
    pub fn operations(&self) -> u64 {
        self.disk().operations
    }

    /// Makes something happen at an operation, counted from 1 as [`SimulatedDisk::operations`]
    /// does.
    pub fn at_operation(&self, operation: u64, mishap: Mishap) {
        self.disk().mishap = Some((operation, mishap));
    }

    /// A number of this start of the machine, from 1: it grows with every loss of power.
    pub fn boot(&self) -> u64 {
        self.disk().boot
    }

    /// Returns true if the power has failed.
    pub fn is_down(&self) -> bool {
        self.disk().is_down
    }

    /// Sets the number of bytes that all files together may have.
    pub fn set_capacity(&self, bytes: u64) {
        self.disk().capacity = bytes;
    }

    /// Ends the process, and with it all that was not synced, as far as the draws go.
    pub fn lose_power(&self) {
        let disk = &mut *self.disk();
        let Disk { inodes, random, .. } = disk;
        inodes.iter_mut().for_each(|inode| inode.lose_power(random));
        let mut names = std::mem::take(&mut disk.synced_names);
        for change in std::mem::take(&mut disk.unsynced) {
            if disk.random.is_lucky() {
                change.apply(&mut names);
            }
        }
        disk.names.clone_from(&names);
        disk.synced_names = names;
        disk.mishap = None;
        disk.boot += 1;
        disk.restart();
    }

    /// Ends the process; the system goes on, and nothing is lost.
    pub fn kill(&self) {
        self.disk().restart();
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<String> {
        self.disk().names.keys().cloned().collect()
    }

    /// The content of a file; `None` if there is none.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let disk = self.disk();
        disk.names.get(name).map(|inode| disk.inodes[*inode].content().to_vec())
    }

    /// Gives a file another content, for good, past all operations.
    pub fn write(&self, name: &str, content: Vec<u8>) {
        let disk = &mut *self.disk();
        let inode = disk.inodes.len();
        disk.inodes.push(Inode::synced(content));
        disk.names.insert(name.into(), inode);
        disk.synced_names.insert(name.into(), inode);
    }

    /// Takes a file away, for good, past all operations.
    pub fn remove(&self, name: &str) {
        let disk = &mut *self.disk();
        disk.names.remove(name);
        disk.synced_names.remove(name);
    }

    /// Flips one bit of a file.
    pub fn flip(&self, name: &str, bit: usize) {
        let mut content = self.read(name).expect("a bit is flipped in a file that is there");
        content[bit / 8] ^= 1 << (bit % 8);
        self.write(name, content);
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock()
    }
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disk = self.disk();
        f.debug_struct("SimulatedDisk").field("names", &disk.names).finish_non_exhaustive()
    }
}

impl Disk {
    fn restart(&mut self) {
        self.process += 1;
        self.is_locked = false;
        self.is_down = false;
    }

    /// # Errors
    ///
    /// If the process has ended or the power has failed.
    fn check(&self, process: u64) -> io::Result<()> {
        if self.process != process || self.is_down {
            return Err(io::Error::other("the process has ended"));
        }
        Ok(())
    }

    /// Counts an operation: what happens to it.
    fn begin(&mut self, process: u64) -> io::Result<Option<Mishap>> {
        self.check(process)?;
        self.operations += 1;
        let operations = self.operations;
        let mishap = self.mishap.take_if(|(at, _)| *at == operations);
        let mishap = mishap.map(|(_, mishap)| mishap);
        self.is_down = mishap == Some(Mishap::Crash);
        Ok(mishap)
    }

    /// A change of names; one under way when the power fails may have happened.
    fn change_names(&mut self, process: u64, change: NameChange) -> io::Result<()> {
        match self.begin(process)? {
            None => {}
            Some(Mishap::Fail) => return Err(failed()),
            Some(Mishap::Crash) => {
                self.unsynced.push(change);
                return Err(failed());
            }
        }
        change.apply(&mut self.names);
        self.unsynced.push(change);
        Ok(())
    }

    fn inode(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Bytes that may still be written.
    fn room(&self) -> u64 {
        // A file with two names takes its room once.
        let named: BTreeSet<usize> = self.names.values().copied().collect();
        let bytes = named.iter().map(|inode| self.inodes[*inode].content().len() as u64);
        self.capacity.saturating_sub(bytes.sum())
    }
}

/// The error of a mishap.
fn failed() -> io::Error {
    io::Error::other("simulated input/output error")
}

#[derive(Debug)]
struct SimulatedDirectory {
    disk: SimulatedDisk,
    path: PathBuf,
    process: u64,
}

/// Unlocks when it is dropped, unless the process had ended before.
struct Guard {
    disk: SimulatedDisk,
    process: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut disk = self.disk.disk();
        if disk.process == self.process {
            disk.is_locked = false;
        }
    }
}

impl SimulatedDirectory {
    fn file(&self, inode: usize) -> Box<dyn File> {
        Box::new(SimulatedFile { disk: self.disk.clone(), process: self.process, inode })
    }
}

impl Directory for SimulatedDirectory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&self, _: &str) -> io::Result<Option<DirectoryLock>> {
        let mut disk = self.disk.disk();
        disk.check(self.process)?;
        if std::mem::replace(&mut disk.is_locked, true) {
            return Ok(None);
        }
        let guard = Guard { disk: self.disk.clone(), process: self.process };
        Ok(Some(DirectoryLock::new(guard)))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let disk = self.disk.disk();
        disk.check(self.process)?;
        Ok(disk.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut disk = self.disk.disk();
        // A new file in place of an old one: the old content is as gone as if it were cut off.
        let inode = disk.inodes.len();
        disk.inodes.push(Inode::default());
        disk.change_names(self.process, NameChange::Name { name: name.into(), inode })?;
        Ok(self.file(inode))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let disk = self.disk.disk();
        disk.check(self.process)?;
        Ok(self.file(disk.inode(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk.disk();
        disk.check(self.process)?;
        let inode = disk.inode(from)?;
        let change = NameChange::Rename { from: from.into(), to: to.into(), inode };
        disk.change_names(self.process, change)
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk.disk();
        disk.check(self.process)?;
        let inode = disk.inode(from)?;
        if disk.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.change_names(self.process, NameChange::Name { name: to.into(), inode })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk.disk();
        disk.check(self.process)?;
        disk.inode(name)?;
        disk.change_names(self.process, NameChange::Remove { name: name.into() })
    }

    /// Unlike the data of files, names that a sync failed to write are not forgotten: file systems
    /// keep them in a journal, and stop altogether when that fails.
    fn sync(&self) -> io::Result<()> {
        let disk = &mut *self.disk.disk();
        if disk.begin(self.process)?.is_some() {
            return Err(failed());
        }
        disk.synced_names.clone_from(&disk.names);
        disk.unsynced.clear();
        Ok(())
    }
}
