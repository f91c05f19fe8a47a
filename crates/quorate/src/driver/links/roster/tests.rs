//! Who counts as whom, by which list.

use std::time::Duration;

use super::*;
use crate::base::id::{Generation, Incarnation, MemberId, Sequence};
use crate::config::{Bounds, MAX_MEMBERS};
use crate::driver::links::guest::Guest;
use crate::protocol::message::Lane;
use crate::state::SiteState;

fn roster(kind: PeerKind, configured: &[&str]) -> Roster {
    at_site(kind, configured, None)
}

fn at_site(kind: PeerKind, configured: &[&str], site: Option<Site>) -> Roster {
    let name = "a".into();
    let address = String::new();
    let bounds = Bounds::default();
    let verify_interval = Duration::ZERO;
    let client_rights = Default::default();
    let priority = 1;
    let peer = PeerConfig {
        name,
        kind,
        priority,
        address,
        verify_interval,
        client_rights,
        new_generations: Default::default(),
        monitor: None,
        site,
        bounds,
    };
    let configured = configured.iter().map(|n| ((*n).into(), format!("{n}:1")));
    Roster::new(&peer, configured.collect())
}

fn member(name: &str, address: &str) -> Member {
    Member { name: name.into(), id: Some(MemberId(7)), address: address.into() }
}

fn membership(list: &[(&str, &str)]) -> Membership {
    let voters = list.iter().map(|(name, address)| member(name, address)).collect();
    Membership::settled(Position::BLANK, voters)
}

fn hello(name: &str, kind: PeerKind, has_state: bool) -> Hello {
    Hello {
        versions: (1, 1),
        group: "g".into(),
        peer: name.into(),
        incarnation: Incarnation(7),
        lane: Lane::Control,
        to: None,
        settings: Vec::new(),
        fingerprint: 0,
        started_ms: 0,
        model_settings: Vec::new(),
        id: MemberId(if name == "d" { 9 } else { 5 }),
        address: String::new(),
        kind,
        has_state,
        succession: Default::default(),
        tls: String::new(),
        site: String::new(),
        site_epoch: 0,
        standing: Standing::default(),
    }
}

fn names(roster: &Roster) -> Vec<String> {
    roster.dialed().iter().map(PeerName::to_string).collect()
}

#[test]
fn the_membership_says_who_is_dialed_and_the_list_only_before_there_is_one() {
    let roster = roster(PeerKind::Member, &["a", "b", "c"]);
    assert_eq!(names(&roster), ["b", "c"]);
    roster.set_membership(&membership(&[("a", ""), ("c", ""), ("d", "d:9")]));
    assert_eq!(names(&roster), ["c", "d"]);
    assert_eq!(roster.addresses(&"c".into()), ["c:1"]);
    assert_eq!(roster.addresses(&"d".into()), ["d:9"]);
    let mut without = membership(&[("c", ""), ("d", "")]);
    without.removed = vec![member("a", "")];
    roster.set_membership(&without);
    assert!(names(&roster).is_empty(), "it was counted out");
}

#[test]
fn a_member_is_who_is_counted_in_and_before_that_who_is_listed() {
    let roster = roster(PeerKind::Member, &["a", "b"]);
    let guest = Guest::new();
    let is_guest = |roster| guest.is_one(&"d".into(), roster);
    assert!(roster.is_member(&"b".into()) && is_guest(&roster));
    roster.set_membership(&membership(&[("a", ""), ("d", "")]));
    assert!(!roster.is_member(&"b".into()), "it was counted out");
    assert!(!is_guest(&roster), "however it came");
    let next = Some(vec![member("a", ""), member("e", "")]);
    roster.set_membership(&Membership { next, ..membership(&[("a", "")]) });
    assert!(roster.is_member(&"e".into()), "it is being counted in");
    assert!(is_guest(&roster));
}

#[test]
fn the_word_of_a_peer_goes_before_the_settings() {
    let roster = roster(PeerKind::Member, &["a", "b"]);
    roster.set_membership(&membership(&[("a", ""), ("b", "new:1")]));
    assert_eq!(roster.addresses(&"b".into()), ["new:1", "b:1"]);
    assert_eq!(roster.to_tell().expect("it holds a membership").1[1].address, "new:1");
}

#[test]
fn a_joiner_knows_who_it_was_introduced_to_and_what_it_was_told() {
    let roster = roster(PeerKind::Joiner, &[]);
    assert!(names(&roster).is_empty());
    roster.introduce(&"b".into(), "b:1");
    assert_eq!(names(&roster), ["b"]);
    assert_eq!(roster.to_tell(), None);
    let newer = Position { sequence: Sequence(5), ..Position::BLANK };
    roster.set_told(newer, &[member("b", "b:2"), member("c", "c:2")]);
    roster.set_told(Position::BLANK, &[member("z", "z:2")]);
    assert_eq!(names(&roster), ["b", "c"], "what is older does not count");
    assert_eq!(roster.addresses(&"b".into()), ["b:2", "b:1"]);
    roster.introduce(&"e".into(), "e:1");
    assert_eq!(names(&roster), ["b", "c", "e"], "those may all have gone");
    for number in 0..1_000 {
        roster.introduce(&format!("f{number}").into(), "e:1");
    }
    assert_eq!(names(&roster), ["b", "c", "f999"], "one address is one peer");
}

#[test]
fn strangers_are_told_why_they_are() {
    let roster = roster(PeerKind::Member, &["a", "b"]);
    let says = |name: &str, kind, has_state| {
        roster.stranger(&Standing::default(), &hello(name, kind, has_state)).map(|d| d.ours)
    };
    assert_eq!(says("z", PeerKind::Member, false).as_deref(), Some("not a member"));
    assert_eq!(says("z", PeerKind::Member, true), None, "it may bring the group");
    assert_eq!(says("z", PeerKind::Joiner, false), None);
    let taken = Some("the name of a member");
    assert_eq!(says("b", PeerKind::Client, false).as_deref(), taken);
    for kind in [PeerKind::Member, PeerKind::Joiner, PeerKind::Client] {
        let alike = says("B", kind, false).expect("it is alike one of the list");
        assert!(alike.starts_with("b is a member: names that differ only"), "{alike}");
    }
    let mut held = membership(&[("a", ""), ("b", "")]);
    held.removed = vec![member("c", ""), Member { id: Some(MemberId(9)), ..member("d", "") }];
    roster.set_membership(&held);
    let stranger = Some("not a member of a,b");
    assert_eq!(says("z", PeerKind::Member, true).as_deref(), stranger);
    let by_name = says("c", PeerKind::Member, false).expect("removed");
    assert!(by_name.starts_with("c was removed from the group: it may join"), "{by_name}");
    assert_eq!(says("c", PeerKind::Joiner, false), None, "a new one of that name");
    let by_id = Some("d was removed from the group");
    assert_eq!(says("d", PeerKind::Joiner, true).as_deref(), by_id);
    assert_eq!(says("b", PeerKind::Member, false), None);
    assert_eq!(says("x", PeerKind::Client, false), None);
}

#[test]
fn a_peer_that_stands_further_in_the_same_group_is_no_stranger() {
    let roster = roster(PeerKind::Member, &["a", "b"]);
    let mut held = membership(&[("a", ""), ("b", "")]);
    held.removed = vec![Member { id: Some(MemberId(9)), ..member("d", "") }];
    roster.set_membership(&held);
    let at = |sequence| Standing {
        position: Position { sequence: Sequence(sequence), ..Position::BLANK },
        generations: vec![Generation::from_bits(0)],
    };
    for name in ["z", "d"] {
        let says = |theirs| {
            let hello = hello(name, PeerKind::Member, true);
            roster.stranger(&at(5), &Hello { standing: at(theirs), ..hello })
        };
        assert!(says(5).is_some());
        assert_eq!(says(6), None);
    }
}

#[test]
fn addresses_of_members_are_known_by_word_by_settings_and_from_meeting_them() {
    let roster = roster(PeerKind::Member, &["a", "b"]);
    roster.set_membership(&membership(&[("b", "10.0.0.2:7101"), ("c", "c.example:7101")]));
    let is_known = |address| roster.is_member_at(address);
    assert!(is_known("10.0.0.2:50123") && is_known("[::ffff:10.0.0.2]:5") && is_known("b"));
    assert!(!is_known("10.0.0.3:50123"));
    roster.meet(&"c".into(), "10.0.0.3:7101");
    roster.meet(&"x".into(), "10.0.0.4:7101");
    assert!(is_known("10.0.0.3:50123"));
    assert!(!is_known("10.0.0.4:50123"), "it is no member");
}

#[test]
fn a_full_group_says_so() {
    let roster = roster(PeerKind::Member, &[]);
    let all: Vec<String> = (0..MAX_MEMBERS).map(|n| n.to_string()).collect();
    let list: Vec<(&str, &str)> = all.iter().map(|name| (name.as_str(), "")).collect();
    roster.set_membership(&membership(&list));
    let hello = hello("z", PeerKind::Joiner, false);
    let said = roster.stranger(&Standing::default(), &hello).expect("full");
    assert_eq!(said.field, "members");
    assert!(said.ours.ends_with("(as many as may be: remove one first)"), "{}", said.ours);
}

/// East, where `a` and `b` decide, and west, whose peers all say that they are at one address.
fn sites(active: &str, contacts: &[&str]) -> Roster {
    let site = Site::new("east").other("west", contacts.iter().copied());
    let roster = at_site(PeerKind::Member, &["a", "b"], Some(site));
    let (decides, follows) = ([("a", "a:1"), ("b", "b:1")], [("d", "10.1:1"), ("e", "10.2:1")]);
    let is_east = active == "east";
    let (voters, listed) = if is_east { (decides, follows) } else { (follows, decides) };
    let mut membership = membership(&voters);
    let mut site = SiteState::new(active, if is_east { "west" } else { "east" });
    site.listed = listed.map(|(name, address)| member(name, address)).into();
    membership.site = Some(site.into());
    roster.set_membership(&membership);
    roster
}

#[test]
fn a_peer_of_the_other_site_is_reached_where_a_pattern_says() {
    for active in ["east", "west"] {
        let roster = sites(active, &["west:1", "{peer}.west:1", "{peer}.west:2"]);
        assert_eq!(roster.addresses(&"d".into()), ["d.west:1", "d.west:2"], "{active} decides");
        assert_eq!(roster.addresses(&"b".into()), ["b:1"], "{active} decides");
    }
    // Of a blank peer whoever is not of its own list.
    let site = Site::new("east").other("west", ["{peer}.west:1"]);
    let roster = at_site(PeerKind::Member, &["a", "b"], Some(site));
    roster.introduce(&"d".into(), "west:1");
    assert_eq!(roster.addresses(&"d".into()), ["d.west:1"]);
    assert_eq!(roster.addresses(&"b".into()), ["b:1"]);
    // As long as a group has one site whoever belongs to it stands here.
    roster.set_membership(&membership(&[("a", "a:1"), ("d", "d:1")]));
    assert_eq!(roster.addresses(&"d".into()), ["d:1", "west:1"]);
}
