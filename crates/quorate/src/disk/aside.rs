//! Setting a directory aside: it is blank then, and what was in it stands beside what comes
//! (docs/disk-format.md, section 13).
//!
//! The state decides. It goes first, in one rename: before it the directory recovers as it was, and
//! after it there is none, so that the rest is known for what it is by the storage id of the state
//! that was set aside, and follows at the next opening if a crash comes between.

use std::path::PathBuf;

use super::error::IoError;
use super::folder::Folder;
use super::name::{self, STATE};

/// Files that are to make way.
#[derive(Debug)]
pub(super) struct Aside {
    /// Segments and snapshots.
    pub(super) files: Vec<String>,
    /// False if the state has gone before, and a crash came between.
    pub(super) has_state: bool,
    /// False if there is nothing in them to go back to: they are removed.
    pub(super) is_kept: bool,
    /// Those that were set aside before, whose place they take.
    pub(super) former: Vec<String>,
}

impl Aside {
    /// Leaves the directory blank, for good. Returns the new name of the state, with its directory,
    /// if the files were kept.
    ///
    /// # Errors
    ///
    /// If it failed: the directory recovers as it was, or is blank.
    pub(super) fn carry_out(self, folder: &Folder) -> Result<Option<PathBuf>, IoError> {
        if !self.is_kept {
            self.remove(folder)?;
            return Ok(None);
        }
        let aside = name::removed(STATE);
        if self.has_state {
            self.former.iter().try_for_each(|name| folder.remove(name))?;
            // None of them is to be taken for one of this set after a crash.
            folder.sync()?;
            folder.rename(STATE, &aside)?;
        }
        // Each for good before another file of its name is made.
        self.files.iter().try_for_each(|name| folder.rename(name, &name::removed(name)))?;
        Ok(Some(folder.path_of(&aside)))
    }

    fn remove(&self, folder: &Folder) -> Result<(), IoError> {
        folder.remove(STATE)?;
        // An empty log without a state is a directory that is used for the first time.
        folder.sync()?;
        self.files.iter().try_for_each(|name| folder.remove(name))?;
        folder.sync()
    }
}
