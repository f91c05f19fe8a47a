//! Where the example `peer` serves HTTP: one address for callers, and one for what changes the
//! group or shows what callers have no part in.
//!
//! | `--http` | `--admin-http` | that is served |
//! |---|---|---|
//! | on loopback | left out | at the same address |
//! | off loopback | left out | at a port of loopback that is printed at the start |
//! | anywhere | given | there, and nowhere else |
//!
//! The address for the group serves all the rest as well. Neither asks who the caller is.

use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroU16;

use clap::Args;
use quorate_examples::arguments;
use quorate_ratelimit::HeaderStyle;
use tokio::net::TcpListener;

use crate::connections::Connections;
use crate::door::{self, Door};
use crate::http::{self, Face};
use crate::server::Server;
use crate::service::Current;

/// How this peer is asked by HTTP.
#[derive(Args)]
pub(crate) struct HttpOptions {
    /// Where this peer serves HTTP.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) http: String,
    /// Where it serves what changes the group (leave, forget, switch-primary, priority, POST
    /// monitor, force-primary, found, reset, PUT limits) or shows what callers have no part in
    /// (top, digest), and nowhere else. If left out: where --http is, if that is on loopback, and
    /// else at a port of loopback that is printed.
    #[arg(long, value_name = "HOST:PORT")]
    admin_http: Option<String>,
    /// Names by which callers reach the HTTP of this peer, beside localhost and those that other
    /// options give it: one under which it is asked otherwise leads a browser here for somebody
    /// else.
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    allow_host: Vec<String>,
    /// Most connections at each of these addresses. Beyond that the one that has waited longest for
    /// its caller is closed, of whoever has most of them. Each takes one of the files that the
    /// process may have open.
    #[arg(long, value_name = "N", default_value = "512")]
    max_connections: NonZeroU16,
    /// Take the "id" of a request as an idempotency key. Whoever chooses an id can have an answer
    /// repeated that counts nothing: only where all callers are services of your own that look at
    /// "repeated" before they do the work again.
    #[arg(long)]
    pub(crate) accept_ids: bool,
    /// Fields of the answers: retry-after, with denials; ietf, the RateLimit fields of draft 11;
    /// x-epoch or x-delta, X-RateLimit-* with the reset as a moment or as a wait.
    #[arg(long, value_name = "STYLE", default_value = "retry-after")]
    #[arg(value_parser = arguments::headers())]
    pub(crate) headers: HeaderStyle,
}

/// An address that is listened on, and what is served there.
pub(crate) struct Address {
    listener: TcpListener,
    face: Face,
    door: Door,
    max_connections: NonZeroU16,
}

impl HttpOptions {
    /// Checks what can be checked before anything is opened.
    pub(crate) fn check(&self, is_plaintext_allowed: bool) -> Result<(), String> {
        if let Some(wrong) = self.allow_host.iter().find(|it| door::host(it).is_none()) {
            return Err(format!(
                "--allow-host {wrong:?} is no name of a host: write one like quota.example"
            ));
        }
        let admin = self.admin_http.iter().map(|address| ("--admin-http", address));
        for (option, address) in [("--http", &self.http)].into_iter().chain(admin) {
            let found = address.to_socket_addrs();
            let mut found = found.map_err(|error| format!("{option} {address:?}: {error}"))?;
            if !is_plaintext_allowed && found.any(|address| !address.ip().is_loopback()) {
                return Err(format!(
                    "{option} {address} is not a loopback address, and HTTP here is plain text \
                     without any check of who asks: listen on 127.0.0.1, or allow it with \
                     --plaintext-on-network"
                ));
            }
        }
        Ok(())
    }

    /// Listens. `named` are hosts by which others reach this peer.
    pub(crate) async fn listen<'a>(
        &'a self,
        named: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Address>, String> {
        let mut named: Vec<&str> = named.into_iter().collect();
        named.push(&self.http);
        named.extend(self.admin_http.as_deref());
        named.extend(self.allow_host.iter().map(String::as_str));
        let (callers, at) = bind(&self.http).await?;
        let max_connections = self.max_connections;
        let address = |listener, at, face| {
            let door = Door::new(at, named.iter().copied());
            Address { listener, face, door, max_connections }
        };
        let Some(admin) = self.admin_apart(at) else {
            return Ok(vec![address(callers, at, Face::Whole)]);
        };
        let callers = address(callers, at, Face::Callers);
        let (admin, at) = bind(admin).await?;
        Ok(vec![callers, address(admin, at, Face::Whole)])
    }

    /// Where what changes the group is served, if that is not where callers are served.
    fn admin_apart(&self, callers: SocketAddr) -> Option<&str> {
        match &self.admin_http {
            Some(admin) => Some(admin),
            None if callers.ip().to_canonical().is_loopback() => None,
            None => Some("127.0.0.1:0"),
        }
    }
}

async fn bind(address: &str) -> Result<(TcpListener, SocketAddr), String> {
    let failed = |error| format!("cannot serve HTTP on {address:?}: {error}");
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let at = listener.local_addr().map_err(failed)?;
    Ok((listener, at))
}

impl Address {
    /// Where what changes the group is served, if that is here.
    pub(crate) fn of_admin(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok().filter(|_| self.face == Face::Whole)
    }

    /// Serves until it is stopped.
    pub(crate) async fn serve(self, service: Current, stopped: impl Future<Output = ()>) {
        let Self { listener, face, door, max_connections } = self;
        let connections = Connections::new(max_connections.get().into());
        let routes = http::routes(service, face);
        let server = Server::new(connections, door, routes, face.max_body_bytes());
        server.serve(listener, stopped).await;
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        http: HttpOptions,
    }

    fn options(arguments: &[&str]) -> HttpOptions {
        let arguments = [&["peer"], arguments].concat();
        Options::try_parse_from(arguments).expect("usable").http
    }

    #[test]
    fn what_changes_the_group_is_off_loopback_only_where_that_was_said() {
        let apart = |arguments: &[&str], callers: &str| {
            let options = options(&[&["--http", callers], arguments].concat());
            options.admin_apart(callers.parse().expect("an address")).map(str::to_owned)
        };
        for callers in ["127.0.0.1:8101", "[::1]:8101", "[::ffff:127.0.0.1]:8101"] {
            assert_eq!(apart(&[], callers), None);
        }
        for callers in ["0.0.0.0:8101", "[::]:8101", "192.0.2.1:8101"] {
            assert_eq!(apart(&[], callers).as_deref(), Some("127.0.0.1:0"));
        }
        for callers in ["127.0.0.1:8101", "0.0.0.0:8101"] {
            let said = apart(&["--admin-http", "192.0.2.1:80"], callers);
            assert_eq!(said.as_deref(), Some("192.0.2.1:80"));
        }
    }

    #[tokio::test]
    async fn an_address_of_its_own_leaves_the_other_to_callers() {
        let faces = async |arguments: &[&str]| {
            let options = options(arguments);
            let addresses = options.listen([]).await.expect("free ports");
            addresses.iter().map(|address| address.face).collect::<Vec<_>>()
        };
        let loopback = ["--http", "127.0.0.1:0"];
        assert_eq!(faces(&loopback).await, [Face::Whole]);
        let apart = [loopback, ["--admin-http", "127.0.0.1:0"]].concat();
        assert_eq!(faces(&apart).await, [Face::Callers, Face::Whole]);
    }

    #[test]
    fn plain_text_off_loopback_has_to_be_allowed_for_either_address() {
        for wrong in [
            &["--http", "0.0.0.0:0"][..],
            &["--http", "127.0.0.1:0", "--admin-http", "192.0.2.1:80"],
        ] {
            let refused = options(wrong).check(false).expect_err("it is off loopback");
            assert!(refused.contains("--plaintext-on-network"), "{refused}");
            assert_eq!(options(wrong).check(true), Ok(()));
        }
        let said = |host| options(&["--http", "127.0.0.1:0", "--allow-host", host]).check(true);
        for (host, sentence) in [
            ("a b", "--allow-host \"a b\" is no name of a host: write one like quota.example"),
            ("", "--allow-host \"\" is no name of a host: write one like quota.example"),
        ] {
            assert_eq!(said(host), Err(sentence.to_owned()));
        }
        let said = |http| options(&["--http", http]).check(true).expect_err("it is no address");
        for (http, begin) in [("", "--http \"\": invalid"), ("localhost", "--http \"localhost\": ")]
        {
            assert!(said(http).starts_with(begin), "{}", said(http));
        }
    }
}
