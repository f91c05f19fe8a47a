//! A host: its clock, its disk, and the process on it if one runs.

pub(crate) mod calls;
pub(crate) mod disk;
pub(crate) mod disk_error;
pub(crate) mod memory;
pub(crate) mod process;
pub(crate) mod snapshot;
pub(crate) mod stranded;
pub(crate) mod unnoticed;

use std::collections::BTreeSet;

use quorate::{Incarnation, PeerConfig, PeerKind, PeerName};

use crate::base::clock::{Clock, Moment};
use crate::host::disk::HostDisk;
use crate::host::memory::Memory;
use crate::host::process::Process;
use crate::host::unnoticed::Unnoticed;
use crate::plan::Plan;

/// A host, and the process on it if one runs.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) config: PeerConfig,
    pub(crate) clock: Clock,
    pub(crate) is_host_up: bool,
    /// Frozen since then.
    pub(crate) paused: Option<Moment>,
    /// The changes of its machine that its process has not noticed.
    pub(crate) unnoticed: Unnoticed,
    /// Only its event loop is frozen.
    pub(crate) starves: bool,
    /// The process on it has stepped aside, to be stopped.
    pub(crate) is_aside: bool,
    pub(crate) process: Option<Process>,
    /// The list of members that its last start was given.
    pub(crate) list: List,
    /// The disk, which outlives the process, in a group that uses disks.
    pub(crate) disk: Option<HostDisk>,
    /// The memory, which outlives the process, in a group that remembers.
    pub(crate) memory: Memory,
    /// The settings that it starts with: peers refuse each other where they differ.
    pub(crate) revision: u8,
}

impl Host {
    pub(crate) fn new(plan: &Plan, index: usize, clock: Clock) -> Self {
        let is_client = index >= plan.peers();
        let config = PeerConfig {
            name: plan.name(index),
            kind: if is_client { PeerKind::Client } else { PeerKind::Member },
            priority: plan.priorities.get(index).copied().unwrap_or(100),
            address: String::new(),
            verify_interval: plan.verify_interval,
            client_rights: Default::default(),
            new_generations: plan.new_generations,
            monitor: plan.monitor,
            site: plan.site(index),
            bounds: plan.bounds,
        };
        let has_disk = plan.disk.as_ref().filter(|_| !is_client);
        let disk = has_disk.map(|_| HostDisk::new(plan.seed ^ index as u64));
        let paused = None;
        let process = None;
        let list = List::default();
        let is_host_up = true;
        let revision = 0;
        let starves = false;
        let unnoticed = Unnoticed::default();
        Self {
            config,
            clock,
            is_host_up,
            paused,
            unnoticed,
            starves,
            is_aside: false,
            process,
            list,
            disk,
            memory: Memory::default(),
            revision,
        }
    }

    /// The process on it, if one runs that is not frozen.
    pub(crate) fn running(&self) -> Option<Incarnation> {
        let process = self.process.as_ref().filter(|_| self.paused.is_none())?;
        Some(process.incarnation)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some() && self.paused.is_none()
    }

    pub(crate) fn runs(&self, incarnation: Incarnation) -> bool {
        self.process.as_ref().is_some_and(|process| process.incarnation == incarnation)
    }
}

/// The names of a list.
pub(crate) type List = BTreeSet<PeerName>;
