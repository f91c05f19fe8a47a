//! Settings of this peer compared with those of one that is being connected.

use crate::base::event::Event;
use crate::base::id::{PeerKind, PeerName};
use crate::base::told::{MEMBERS, printable};
use crate::config::STORAGE;
use crate::driver::links::settings::{rolling, *};
use crate::driver::shared::Shared;
use crate::wire::Hello;

impl Shared {
    /// Compares the settings that may differ with those of a peer that is being connected.
    pub(in crate::driver) fn compare_rolling(&self, hello: &Hello) {
        let model = rolling(&self.model_settings, &hello.model_settings);
        let transport = self.compare_tls(hello);
        let differ: Vec<_> = model.iter().chain(&transport).cloned().collect();
        let knows = |peer: &PeerName| self.roster.is_known(peer.as_str());
        if !self.differences.keep(&hello.peer, hello.incarnation, &differ, knows) {
            return;
        }
        for Difference { field, ours, theirs } in model {
            let peer = hello.peer.clone();
            self.tell(Event::ModelDiffers { peer, field, ours, theirs });
        }
        if let Some(Difference { field, ours, theirs }) = transport {
            let peer = hello.peer.clone();
            self.tell(Event::TransportDiffers { peer, field, ours, theirs });
        }
    }

    /// The difference in how far two peers use TLS, if both say and it is not the same.
    fn compare_tls(&self, hello: &Hello) -> Option<Difference> {
        let ours = self.transport.tls()?.to_string();
        let differs = !hello.tls.is_empty() && hello.tls != ours;
        differs.then(|| Difference::new(TLS, ours, printable(&hello.tls)))
    }
}

/// Settings that must be equal and are not.
pub(in crate::driver) fn refused(shared: &Shared, hello: &Hello) -> Vec<Difference> {
    if hello.fingerprint == shared.fingerprint {
        return Vec::new();
    }
    let theirs = |field: &str| {
        let found = hello.settings.iter().find(|(name, _)| name == field);
        found.map_or("(not set)", |(_, value)| value.as_str())
    };
    let compares_lists = shared.roster.compares_lists(hello);
    let is_client = [shared.config.kind, hello.kind].contains(&PeerKind::Client);
    let is_ignored =
        |field: &str| (field == MEMBERS && !compares_lists) || (field == STORAGE && is_client);
    let mut differences: Vec<Difference> = shared
        .settings
        .iter()
        .filter(|(field, ours)| theirs(field) != ours)
        .filter(|(field, _)| !is_ignored(field))
        .map(|(field, ours)| Difference::new(field, ours, printable(theirs(field))))
        .collect();
    // Where something differs that may, they tell nothing.
    let has_ignored = shared.settings.iter().any(|(f, ours)| is_ignored(f) && theirs(f) != ours);
    if differences.is_empty() && !has_ignored {
        // Equal as far as this peer knows them: the other has settings that it does not.
        let ours = format!("{:016x}", shared.fingerprint);
        let theirs = format!("{:016x}", hello.fingerprint);
        differences.push(Difference::new("fingerprint", ours, theirs));
    }
    differences
}
