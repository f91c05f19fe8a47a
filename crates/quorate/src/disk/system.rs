//! The system's files.

use std::os::unix::fs::{
    DirBuilderExt as _, FileExt, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;

use super::error::{Action, IoError, OpenError};
use super::file::{Directory, DirectoryLock, File};

/// The mode that a file is made with, and a directory: keys of users are nobody else's business.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;
/// The rights of others than the owner, and those of them that change a directory.
const OTHERS: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o022;

/// A directory of the file system.
#[derive(Debug)]
pub struct SystemDirectory {
    path: PathBuf,
    /// For syncing: names last once the directory itself is synced.
    handle: fs::File,
}

impl SystemDirectory {
    /// Opens a directory, and makes it first if it is not there, for this user only.
    ///
    /// # Errors
    ///
    /// If it can neither be opened nor made, or is not a directory.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, OpenError> {
        let path = path.into();
        let named = |action| {
            let path = path.clone();
            move |error| IoError::new(action, path, error)
        };
        let missing = path.ancestors().take_while(|path| !path.exists()).count();
        if !path.is_dir() {
            // Those that it is in may be for others as well.
            path.parent().map_or(Ok(()), fs::create_dir_all).map_err(named(Action::Create))?;
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(DIRECTORY_MODE);
            builder.create(&path).map_err(named(Action::Create))?;
        }
        sync_names(&path, missing).map_err(named(Action::Sync))?;
        let handle = fs::File::open(&path).map_err(named(Action::Open))?;
        Ok(Self { path, handle })
    }

    fn options() -> fs::OpenOptions {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).mode(FILE_MODE);
        options
    }
}

/// Takes away what others may do with a file or directory, if it is this user's to take. Whether it
/// was, is for whoever looks at it afterwards.
fn close_to_others(path: &Path) -> io::Result<()> {
    // Not what a link leads to: that is not in the directory.
    let metadata = fs::symlink_metadata(path)?;
    let is_own = metadata.uid() == geteuid().as_raw() && !metadata.is_symlink();
    if is_own && metadata.mode() & OTHERS != 0 {
        let mode = metadata.mode() & 0o7777 & !OTHERS;
        // A file system that knows no modes refuses it.
        _ = fs::set_permissions(path, fs::Permissions::from_mode(mode));
    }
    Ok(())
}

/// Makes the names of new directories last: of this one, and of those that it is in.
fn sync_names(path: &Path, count: usize) -> io::Result<()> {
    let path = path.canonicalize()?;
    path.ancestors().skip(1).take(count).try_for_each(|parent| fs::File::open(parent)?.sync_all())
}

impl Directory for SystemDirectory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&self, name: &str) -> io::Result<Option<DirectoryLock>> {
        let file = Self::options().create(true).truncate(false).open(self.path.join(name))?;
        // Goes with the open file, so that a process killed in any way holds it no longer.
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(DirectoryLock::new(file))),
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name());
        let names: Vec<_> = fs::read_dir(&self.path)?.map(name).collect::<io::Result<_>>()?;
        // Names that are not text are none of this layer's.
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let file = Self::options().create(true).truncate(true).open(self.path.join(name))?;
        Ok(Box::new(SystemFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(Box::new(SystemFile(Self::options().open(self.path.join(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        fs::hard_link(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn protect(&self, own: &[String], is_shared: bool) -> io::Result<bool> {
        own.iter().try_for_each(|name| close_to_others(&self.path.join(name)))?;
        if !is_shared {
            close_to_others(&self.path.canonicalize()?)?;
        }
        Ok(self.handle.metadata()?.mode() & OTHERS_WRITE != 0)
    }
}

#[derive(Debug)]
struct SystemFile(fs::File);

impl File for SystemFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    /// Data and length, not the times: half the cost of a full sync, and all that is read back.
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::id::{Ballot, Generation, GroupTime, Lead, Position, Sequence, Term};
    use crate::disk::{Options, StorageId, open};
    use crate::protocol::io::HardState;
    use crate::state::BatchEnd;
    use crate::store::Staged;

    /// A directory of the test's own, removed when it ends.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str) -> Self {
            let name = format!("quorate-{name}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            _ = fs::remove_dir_all(&self.0);
        }
    }

    fn options() -> Options {
        Options::new("default", "a".into(), StorageId(7))
    }

    fn directory(path: &Path) -> Arc<dyn Directory> {
        Arc::new(SystemDirectory::new(path).expect("a directory can be made"))
    }

    #[test]
    fn what_is_written_to_the_file_system_is_read_back() {
        let temporary = Temporary::new("disk");
        let path = temporary.0.join("made/on/the/way");
        let recovery = open(directory(&path), options()).expect("a new directory");
        let (mut storage, report) = recovery.finish().expect("a new directory");
        assert!(report.is_new);
        let ballot = Ballot { generation: Generation::from_bits(1), term: Term(1) };
        let position = Position { ballot, sequence: Sequence(1 << 16) };
        let end = BatchEnd {
            position,
            group_time: GroupTime(1),
            lead: Lead::default(),
            expired_before: GroupTime(0),
            meta: None,
        };
        let batch = Staged { from: Some(Position::BLANK), records: Vec::new(), end };
        storage.append(&batch).expect("there is room");
        assert_eq!(storage.sync().expect("it can be synced"), position);
        let hard = HardState { ballot, ..HardState::default() };
        storage.save(hard.clone()).expect("there is room");
        storage.close().expect("it can be synced");

        let mut recovery = open(directory(&path), options()).expect("it was closed");
        assert_eq!(recovery.hard_state(), Some(&hard));
        let found = recovery.next_batch().expect("it is sound").expect("there is a batch");
        assert_eq!((found.from, found.end), (batch.from, batch.end));
        assert_eq!(recovery.next_batch().expect("it is sound"), None);
    }

    /// The rights of others than the owner: bits of the mode.
    fn open_to_others(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").mode() & 0o077
    }

    fn modes(path: &Path) -> Vec<(String, u32)> {
        let entries = fs::read_dir(path).expect("a directory").map(|entry| {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("text");
            (name, open_to_others(&entry.path()))
        });
        entries.collect()
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is this user's");
    }

    /// Keys of users stand in the files, and whoever may open the lock can hold it.
    #[test]
    fn nobody_else_reads_what_is_stored() {
        let temporary = Temporary::new("mode");
        let path = temporary.0.join("quota");
        let recovery = open(directory(&path), options()).expect("a new directory");
        let (mut storage, report) = recovery.finish().expect("a new directory");
        storage.save(HardState::default()).expect("there is room");
        storage.close().expect("it can be synced");
        assert!(!report.is_open_to_others);
        assert_eq!(open_to_others(&path), 0);
        let made = modes(&path);
        assert!(made.len() >= 3 && made.iter().all(|(_, others)| *others == 0), "{made:?}");
        // As an older version has left it, with what was set aside.
        fs::write(path.join("older-state"), b"").expect("there is room");
        for (name, _) in modes(&path) {
            set_mode(&path.join(name), 0o644);
        }
        set_mode(&path, 0o755);
        let recovery = open(directory(&path), options()).expect("it was closed");
        assert_eq!(open_to_others(&path), 0o055, "nothing is changed before all has been read");
        let (storage, report) = recovery.finish().expect("it is sound");
        assert!(!report.is_open_to_others);
        assert_eq!(open_to_others(&path), 0);
        let tightened = modes(&path);
        assert!(tightened.iter().all(|(_, others)| *others == 0), "{tightened:?}");
        drop(storage);
    }

    /// A directory that holds other things is not this layer's to close: what it writes there is.
    #[test]
    fn a_directory_with_other_files_is_left_as_it_is_and_told_of_if_others_may_write() {
        let temporary = Temporary::new("shared");
        fs::create_dir(&temporary.0).expect("there is room");
        fs::write(temporary.0.join("notes"), b"somebody else's").expect("there is room");
        set_mode(&temporary.0.join("notes"), 0o644);
        for (mode, is_open) in [(0o755, false), (0o777, true)] {
            set_mode(&temporary.0, mode);
            let recovery = open(directory(&temporary.0), options()).expect("it is usable");
            let (storage, report) = recovery.finish().expect("it is usable");
            assert_eq!(report.is_open_to_others, is_open);
            assert_eq!(open_to_others(&temporary.0), mode & 0o077);
            for (name, others) in modes(&temporary.0) {
                assert_eq!(others != 0, name == "notes", "{name}");
            }
            drop(storage);
        }
    }

    #[test]
    fn a_directory_is_locked_against_other_processes_and_other_peers_of_this_one() {
        let temporary = Temporary::new("lock");
        let first = open(directory(&temporary.0), options()).expect("a new directory");
        let second = open(directory(&temporary.0), options());
        assert!(matches!(&second, Err(OpenError::InUse { path }) if *path == temporary.0));
        drop(first);
        assert!(open(directory(&temporary.0), options()).is_ok());
    }

    #[test]
    fn a_file_in_place_of_the_directory_is_refused_by_its_name() {
        let temporary = Temporary::new("file");
        fs::write(&temporary.0, b"not a directory").expect("there is room");
        let error = SystemDirectory::new(&temporary.0).expect_err("it is a file").to_string();
        _ = fs::remove_file(&temporary.0);
        assert!(error.contains("quorate-file-"), "{error}");
    }
}
