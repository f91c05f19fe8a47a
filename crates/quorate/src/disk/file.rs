//! The seam: what this layer needs of a directory and of its files, and nothing else.
//!
//! The system's files stand behind it in production, simulated ones in tests, where every call can
//! be the last before the power fails.

use std::fmt;
use std::io;
use std::path::Path;

/// One directory, which holds plain files only.
pub trait Directory: Send + Sync + fmt::Debug {
    /// Its path, for messages.
    fn path(&self) -> &Path;

    /// Makes sure that no other process uses the directory, until the lock is dropped; `None` if
    /// one does. A process that ends, however it ends, holds no lock.
    fn lock(&self, name: &str) -> io::Result<Option<DirectoryLock>>;

    /// The names of all files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// An empty file to read and write; one of that name is emptied. Lasts only after
    /// [`Directory::sync`].
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;

    /// A file that exists, to read and write.
    fn open(&self, name: &str) -> io::Result<Box<dyn File>>;

    /// Gives a file another name, in place of any file of that name, all at once. Lasts only after
    /// [`Directory::sync`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Gives a file a second name, which no other file has. Lasts only after [`Directory::sync`].
    fn link(&self, from: &str, to: &str) -> io::Result<()>;

    /// Takes a file's name away. Lasts only after [`Directory::sync`].
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all names as they are now outlast a loss of power.
    fn sync(&self) -> io::Result<()>;

    /// Takes from others than the owner what they may do with these files, and with the directory
    /// itself unless it `is_shared`; whether they may still change what is in it. As far as the
    /// system has such rights, and they are this process's to take.
    fn protect(&self, _own: &[String], _is_shared: bool) -> io::Result<bool> {
        Ok(false)
    }
}

/// One file.
pub trait File: Send + fmt::Debug {
    /// Reads at an offset; fewer bytes than asked for, and 0 only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at an offset; may write fewer bytes than given. Lasts only after [`File::sync`].
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes all that was written outlast a loss of power, the length included.
    ///
    /// After an error nobody knows what was written since the last sync, and calling it again
    /// proves nothing: the system may have dropped what it could not write.
    fn sync(&mut self) -> io::Result<()>;

    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
}

/// Keeps other processes out of a directory for as long as it lives.
#[must_use = "the directory is unlocked when this is dropped"]
pub struct DirectoryLock(#[expect(dead_code, reason = "held for its drop")] Box<dyn Send + Sync>);

impl DirectoryLock {
    /// A lock that is given up when `guard` is dropped.
    pub fn new(guard: impl Send + Sync + 'static) -> Self {
        Self(Box::new(guard))
    }
}

impl fmt::Debug for DirectoryLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DirectoryLock")
    }
}
