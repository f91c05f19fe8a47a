//! A directory and files whose failures carry their names.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::error::{Action, IoError};
use super::file::{Directory, DirectoryLock, File};
use super::name::{self, TEMPORARY};

/// A directory; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Folder(Arc<dyn Directory>);

impl Folder {
    pub(super) fn new(directory: Arc<dyn Directory>) -> Self {
        Self(directory)
    }

    /// The directory itself.
    pub(super) fn path(&self) -> PathBuf {
        self.0.path().into()
    }

    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn lock(&self, name: &str) -> Result<Option<DirectoryLock>, IoError> {
        self.0.lock(name).map_err(|error| IoError::new(Action::Lock, self.path_of(name), error))
    }

    pub(super) fn list(&self) -> Result<Vec<String>, IoError> {
        self.0.list().map_err(|error| IoError::new(Action::List, self.path(), error))
    }

    /// Takes from others what they may do with the files of this layer, and with the directory if
    /// it holds nothing else; whether they may still change what is in it.
    pub(super) fn protect(&self) -> Result<bool, IoError> {
        let (own, other): (Vec<_>, Vec<_>) =
            self.list()?.into_iter().partition(|n| name::is_own(n));
        let open = self.0.protect(&own, !other.is_empty());
        open.map_err(|error| IoError::new(Action::Protect, self.path(), error))
    }

    pub(super) fn open(&self, name: &str) -> Result<NamedFile, IoError> {
        let path = self.path_of(name);
        match self.0.open(name) {
            Ok(file) => Ok(NamedFile { file, path }),
            Err(error) => Err(IoError::new(Action::Open, path, error)),
        }
    }

    pub(super) fn create(&self, name: &str) -> Result<NamedFile, IoError> {
        let path = self.path_of(name);
        match self.0.create(name) {
            Ok(file) => Ok(NamedFile { file, path }),
            Err(error) => Err(IoError::new(Action::Create, path, error)),
        }
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), IoError> {
        self.0.remove(name).map_err(|error| IoError::new(Action::Remove, self.path_of(name), error))
    }

    /// Gives a file a second name; lasts after [`Folder::sync`].
    pub(super) fn link(&self, from: &str, to: &str) -> Result<(), IoError> {
        self.0.link(from, to).map_err(|error| IoError::new(Action::Link, self.path_of(from), error))
    }

    /// Makes all names as they are now last.
    pub(super) fn sync(&self) -> Result<(), IoError> {
        self.0.sync().map_err(|error| IoError::new(Action::Sync, self.path(), error))
    }

    /// Gives a synced file its final name, for good.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), IoError> {
        let renamed = self.0.rename(from, to);
        renamed.map_err(|error| IoError::new(Action::Rename, self.path_of(from), error))?;
        self.sync()
    }

    /// Makes a file that a crash leaves there whole or not at all, in place of any of that name.
    ///
    /// The name comes last: once it can be seen, all that it names has been synced.
    pub(super) fn publish(
        &self,
        name: &str,
        fill: impl FnOnce(&mut NamedFile) -> Result<(), IoError>,
    ) -> Result<NamedFile, IoError> {
        let temporary = format!("{name}{TEMPORARY}");
        let mut file = self.create(&temporary)?;
        fill(&mut file)?;
        file.sync()?;
        self.rename(&temporary, name)?;
        file.path = self.path_of(name);
        Ok(file)
    }
}

/// A file that knows its name.
#[derive(Debug)]
pub(super) struct NamedFile {
    file: Box<dyn File>,
    path: PathBuf,
}

impl NamedFile {
    pub(super) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Reads until `buffer` is full or the file ends; how much there was.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<usize, IoError> {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(Action::Read, error)),
            }
        }
        Ok(done)
    }

    pub(super) fn write_all(&mut self, bytes: &[u8], offset: u64) -> Result<(), IoError> {
        let mut done = 0;
        while done < bytes.len() {
            match self.file.write_at(&bytes[done..], offset + done as u64) {
                Ok(0) => return Err(self.error(Action::Write, io::ErrorKind::WriteZero.into())),
                Ok(written) => done += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(Action::Write, error)),
            }
        }
        Ok(())
    }

    /// Never called again after it has failed: see [`File::sync`].
    pub(super) fn sync(&mut self) -> Result<(), IoError> {
        self.file.sync().map_err(|error| self.error(Action::Sync, error))
    }

    pub(super) fn length(&self) -> Result<u64, IoError> {
        self.file.length().map_err(|error| self.error(Action::Read, error))
    }

    /// The failure of an operation on this file.
    pub(super) fn error(&self, action: Action, error: io::Error) -> IoError {
        IoError::new(action, &self.path, error)
    }
}
