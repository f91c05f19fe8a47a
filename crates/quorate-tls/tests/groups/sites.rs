//! Two sites with a router in front of each, which passes connections on by the name that is
//! dialed, as it reads it in the handshake, and terminates nothing.

use std::io;

use quorate::transport::{BoxFuture, Listener, Stream};
use quorate::{PeerName, Site, SiteCondition, SiteMode};
use rustls::server::Acceptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, join};

use super::*;

const EAST: [&str; 3] = ["a", "b", "c"];
const WEST: [&str; 3] = ["d", "e", "f"];
/// Bytes that a router keeps for an end that does not read.
const ROOM: usize = 64 * 1024;

/// The network of a site: what stands at the other one is reached by way of that one's router.
struct Routed(Arc<dyn Transport>);

impl Transport for Routed {
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        self.0.listen(address)
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
        to: Option<&'a PeerName>,
    ) -> BoxFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            if !address.ends_with(".test:443") {
                return self.0.connect(address, to).await;
            }
            let (near, far) = duplex(ROOM);
            let network = self.0.clone();
            tokio::spawn(async move { route(network, far).await.unwrap_or_default() });
            let (reader, writer) = tokio::io::split(near);
            Ok(Stream {
                reader: Box::new(reader),
                writer: Box::new(writer),
                peer_address: address.to_owned(),
                protection: Protection::Plain,
                proof: None,
            })
        })
    }

    fn is_private<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<bool>> {
        self.0.is_private(address)
    }
}

/// Passes a connection on to the peer that its first message names; a name that is no peer's leads
/// to any, which is `e` or `b` here.
async fn route(network: Arc<dyn Transport>, mut near: DuplexStream) -> io::Result<()> {
    let (mut seen, mut acceptor) = (Vec::new(), Acceptor::default());
    let name = loop {
        let mut piece = [0; 4096];
        let count = near.read(&mut piece).await?;
        if count == 0 {
            return Ok(());
        }
        seen.extend_from_slice(&piece[..count]);
        acceptor.read_tls(&mut &piece[..count])?;
        let accepted = acceptor.accept().map_err(|(error, _)| io::Error::other(error))?;
        if let Some(accepted) = accepted {
            let hello = accepted.client_hello();
            break hello.server_name().unwrap_or_default().to_owned();
        }
    };
    let peer = match name.split_once('.').unwrap_or_default() {
        ("east", _) => "b",
        ("west", _) => "e",
        (peer, _) => peer,
    };
    let Stream { reader, writer, .. } = network.connect(peer, None).await?;
    let mut there = join(reader, writer);
    there.write_all(&seen).await?;
    tokio::io::copy_bidirectional(&mut near, &mut there).await?;
    Ok(())
}

/// One certificate with all names, for all; each site has one address, and a name there for each of
/// its peers.
#[tokio::test(start_paused = true)]
async fn sites_meet_through_routers_that_go_by_the_name_that_is_dialed() {
    let (network, ca) = (InProcess::network(), Authority::new("group"));
    // Whoever is met by way of a contact is not known by name yet, and shows that it is a member.
    let names = EAST.into_iter().chain(WEST).map(|name| format!("quorate:{name}"));
    let names: Vec<String> = names.collect();
    let issued = ca.issue(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut peers = Vec::new();
    for (members, own, other) in [(EAST, "east", "west"), (WEST, "west", "east")] {
        for name in members {
            let contacts = [format!("{other}.test:443"), format!("{{peer}}.{other}.test:443")];
            let inner = Arc::new(Routed(network.at(name)));
            let tls = config(&[&ca], &issued).over(inner).transport().expect("usable");
            let peer = Peer::builder(name, Counter)
                .members(members.map(|name| (name, name)))
                .site(Site::new(own).other(other, contacts))
                .listen(name)
                .advertise(format!("{name}.internal"))
                .transport(shared(&tls))
                .tokio_clock();
            peers.push(peer.start().await.expect("the settings are valid"));
        }
    }
    peers[0].activate_site().await.expect("all three are there");
    let state = |peer: &Peer| peer.status().site.expect("it stands at one").state;
    for peer in &peers {
        until(peer, |_| state(peer) == SiteCondition::Ready).await;
    }
    add(&peers[5], "k", 3).await.expect("it is forwarded");
    let status = peers[3].switch_sites().await.expect("both are there");
    assert_eq!((status.mode, status.epoch), (SiteMode::Active, 2));
    for peer in &peers {
        until(peer, |_| state(peer) == SiteCondition::Ready).await;
        let status = peer.status();
        let links = status.peers.iter().filter(|peer| peer.link == Link::Up);
        assert!(links.clone().count() >= 3, "{}: {:?}", peer.name(), status.peers);
        for other in links {
            assert_eq!(
                other.protection,
                Some(Protection::Tls),
                "{} and {}",
                peer.name(),
                other.name
            );
        }
    }
    assert_eq!(count(&peers[1], "k").await, 3);
}
