//! Every reason why a peer was not asked, or did not answer, as people read it.

use std::io;
use std::time::Duration;

use quorate::SwitchError;
use quorate::admin::{AdminError, Effect, Refused};

#[path = "support/words.rs"]
mod words;

use words::assert_told;

fn address() -> String {
    "10.0.0.7:7101".to_owned()
}

fn not_let_in(field: &str, ours: &str, theirs: &str) -> String {
    let [field, ours, theirs] = [field, ours, theirs].map(str::to_owned);
    AdminError::NotLetIn { address: address(), field, ours, theirs }.to_string()
}

#[test]
fn peers_that_were_not_asked() {
    assert_told([
        (
            AdminError::Name { what: "the group", name: "a b".to_owned() }.to_string(),
            "the group \"a b\" is no name: write 1 to 64 letters, digits, \"-\", \"_\" and \".\"",
        ),
        (
            format!(
                "{:?}",
                AdminError::Connect {
                    address: address(),
                    source: io::ErrorKind::ConnectionRefused.into()
                }
            ),
            "cannot connect to 10.0.0.7:7101: connection refused",
        ),
        (
            AdminError::TooOldOrNotQuorate { address: address() }.to_string(),
            "10.0.0.7:7101 closes the connection without a word: it is too old or not Quorate (a \
             peer answers from version 6 of the protocol on), or it has too many connections",
        ),
        (
            not_let_in("admin", "by alice", "closed"),
            "10.0.0.7:7101 refuses to be asked: its admin lane is closed",
        ),
        (
            not_let_in("certificate", "CN=x (no names)", "one with the URI quorate-admin:alice"),
            "10.0.0.7:7101 refuses to be asked: it asks for one with the URI \
             quorate-admin:alice, and was shown CN=x (no names)",
        ),
        (
            not_let_in("group", "quota", "default"),
            "10.0.0.7:7101 refuses to be asked: its group is default, and quota was asked for",
        ),
        (
            not_let_in("max_admins", "", "8 of the admin lane are open"),
            "10.0.0.7:7101 refuses to be asked: 8 of the admin lane are open, and no more are \
             let in",
        ),
        (
            not_let_in("tls", "off", "required"),
            "10.0.0.7:7101 refuses to be asked: it asks for required, and was offered off",
        ),
        (
            not_let_in("version", "9 to 9", "6 to 7"),
            "10.0.0.7:7101 refuses to be asked: it speaks versions 6 to 7 of the protocol, and \
             this one 9 to 9",
        ),
        (
            not_let_in("other", "one", "two"),
            "10.0.0.7:7101 refuses to be asked: other is one here and two there",
        ),
        (
            AdminError::NotThatPeer {
                address: address(),
                peer: "b".to_owned(),
                certificate: "CN=a (quorate:a)".to_owned(),
            }
            .to_string(),
            "10.0.0.7:7101 says to be b, and its certificate does not: CN=a (quorate:a)",
        ),
    ]);
}

#[test]
fn asks_without_an_answer() {
    let refused = Refused::from(SwitchError::OnlyMember);
    assert_eq!((&*refused.error, refused.effect), ("only_member", Effect::None));
    assert_told([
        (
            AdminError::TimedOut { waited: Duration::from_nanos(10_000_882_848) }.to_string(),
            "no answer within 10s",
        ),
        (
            AdminError::TooLong { bytes: 70_000, max: 65_536 }.to_string(),
            "an ask of 70000 bytes is longer than 65536: make it shorter",
        ),
        (
            format!("{:?}", AdminError::Lost { source: io::ErrorKind::UnexpectedEof.into() }),
            "the connection was lost before there was an answer: unexpected end of file",
        ),
        (
            AdminError::Garbled.to_string(),
            "the answer cannot be read: the peer is of a version that this one does not know",
        ),
        (
            AdminError::Ended.to_string(),
            "the connection is of no use after an ask without an answer: connect again",
        ),
        (
            AdminError::Refused(refused).to_string(),
            "this peer is the only member of the group: there is no successor",
        ),
    ]);
}
