//! A network in which names lead to several places, and these change.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use quorate::PeerName;
use quorate::transport::{BoxFuture, InProcess, Listener, Stream, Transport};

/// What names lead to; of those that are not in it, to themselves.
pub(crate) type Names = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

/// Where a name leads whose look-up never ends.
pub(crate) const NEVER: &str = "never";

/// A network with a name service.
struct Named {
    network: Arc<dyn Transport>,
    names: Names,
    is_tcp: bool,
}

impl Transport for Named {
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        self.network.listen(address)
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
        to: Option<&'a PeerName>,
    ) -> BoxFuture<'a, io::Result<Stream>> {
        self.network.connect(address, to)
    }

    fn resolve<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Vec<String>>> {
        let places = self.names.lock().get(address).cloned();
        let places = places.unwrap_or_else(|| vec![address.to_owned()]);
        if places == [NEVER] {
            return Box::pin(std::future::pending());
        }
        let found = match places.is_empty() {
            true => Err(io::Error::other("no such name")),
            false => Ok(places),
        };
        Box::pin(std::future::ready(found))
    }

    fn has_tcp_addresses(&self) -> bool {
        self.is_tcp
    }

    fn is_private<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<bool>> {
        self.network.is_private(address)
    }
}

/// Names and where they lead; of one that leads nowhere an empty list.
pub(crate) fn names(list: &[(&str, &[&str])]) -> Names {
    let list = list.iter().map(|(name, places)| {
        (name.to_string(), places.iter().map(|place| place.to_string()).collect())
    });
    Arc::new(Mutex::new(list.collect()))
}

/// An end of a network with these names.
pub(crate) fn named(network: &InProcess, at: &str, names: &Names) -> Arc<dyn Transport> {
    Arc::new(Named { network: network.at(at), names: names.clone(), is_tcp: false })
}

/// The same with addresses that are to look like those of TCP.
pub(crate) fn named_tcp(network: &InProcess, at: &str, names: &Names) -> Arc<dyn Transport> {
    Arc::new(Named { network: network.at(at), names: names.clone(), is_tcp: true })
}
