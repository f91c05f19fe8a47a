//! Who is let in, and how many of whom.

use super::*;

fn admission(max: usize, per_address: usize, handshakes: usize) -> Arc<Admission> {
    let bounds = Bounds {
        max_connections: max,
        max_connections_per_address: per_address,
        max_handshakes: handshakes,
        ..Bounds::default()
    };
    Arc::new(Admission::new(&bounds, None))
}

fn client(number: usize) -> PeerName {
    format!("client-{number}").into()
}

fn guest(admission: &Arc<Admission>, address: &str) -> Result<Admitted, Full> {
    admission.admit(address, false)
}

#[test]
fn one_address_takes_its_part_and_leaves_room_for_others() {
    let admission = admission(5, 2, 100);
    let first = guest(&admission, "10.0.0.1:1").expect("there is room");
    let _second = guest(&admission, "10.0.0.1:2").expect("there is room");
    let full = guest(&admission, "10.0.0.1:3").expect_err("it has its part");
    assert_eq!(full, Full::PerAddress { max: 2 });
    let _others =
        ["10.0.0.2:1", "10.0.0.3:1"].map(|at| guest(&admission, at).expect("there is room"));
    let full = guest(&admission, "10.0.0.4:1").expect_err("there are four");
    assert_eq!(full, Full::Connections { max: 4 });
    drop(first);
    guest(&admission, "10.0.0.1:3").expect("one has gone");
}

#[test]
fn who_shows_who_it_is_makes_room_for_the_next() {
    let admission = admission(100, 100, 8);
    let mut first = guest(&admission, "10.0.0.1:1").expect("a quarter is two");
    let _second = guest(&admission, "10.0.0.1:2").expect("a quarter is two");
    let full = guest(&admission, "10.0.0.1:3").expect_err("two are half open");
    assert_eq!(full, Full::HandshakesPerAddress { count: 2 });
    let client = PeerName::from("client");
    let settled = [first.settle(Some(&client)), first.settle(Some(&client))];
    assert_eq!(settled, [Ok(()), Ok(())], "counted once");
    let _third = guest(&admission, "10.0.0.1:3").expect("one is open");
    let hosts = (2..6).map(|host| format!("10.0.0.{host}:1"));
    let _more: Vec<_> = hosts.map(|at| guest(&admission, &at).expect("there is room")).collect();
    let full = guest(&admission, "10.0.0.9:1").expect_err("six are half open");
    assert_eq!(full, Full::Handshakes { max: 6 });
}

/// Four addresses, each with its quarter, held all places.
#[test]
fn a_few_addresses_never_hold_all_places_and_members_get_in_whatever_others_do() {
    let admission = admission(1_024, 512, 128);
    let mut held = Vec::new();
    for host in 1..=4 {
        while let Ok(admitted) = guest(&admission, &format!("10.0.0.{host}:1")) {
            held.push(admitted);
        }
    }
    assert!(held.len() < 100, "{} of 128", held.len());
    held.push(guest(&admission, "10.0.0.5:1").expect("a fifth gets in"));
    // A hundred hosts, and a site of 256 of IPv6, hold what is left.
    for host in 0..=255 {
        held.extend(guest(&admission, &format!("10.0.1.{host}:1")));
        held.extend(guest(&admission, &format!("[2001:db8:0:{host:x}::1]:1")));
    }
    let full = guest(&admission, "10.0.2.1:1").expect_err("none is left");
    assert_eq!(full, Full::Handshakes { max: 100 });
    let members = (1..=7).flat_map(|host| [host; 4]);
    for host in members {
        let admitted = admission.admit(&format!("10.9.0.{host}:1"), true);
        held.push(admitted.expect("places are kept for members"));
    }
    let full = admission.admit("10.9.0.1:1", true).expect_err("all are taken");
    assert_eq!(full, Full::Handshakes { max: 128 });
}

#[test]
fn a_site_of_many_hosts_takes_its_part() {
    let admission = admission(1_024, 16, 128);
    let mut held = Vec::new();
    for host in 0..=255 {
        held.extend(guest(&admission, &format!("[2001:db8:0:{host:x}::1]:1")));
    }
    // A quarter more may be members, as far as is known yet.
    assert_eq!(held.len(), 40, "twice as many connections as a host");
    held.iter_mut().for_each(|held| held.settle(None).expect("members are not bounded"));
    let full = guest(&admission, "[2001:db8:0:7::1]:1").expect_err("it has its part");
    assert_eq!(full, Full::PerAddress { max: 32 });
    guest(&admission, "[2001:db8:0:100::1]:1").expect("another site");
}

/// Clients on the members' own host had all places, and a member that was restarted got none.
#[test]
fn guests_never_have_all_places_wherever_they_come_from() {
    let admission = admission(64, 512, 128);
    // On the host of a member, and so in whatever places are kept for those.
    let mut held = Vec::new();
    let full = loop {
        let name = client(held.len());
        let mut admitted = admission.admit("10.0.0.1:1", true).expect("handshakes have places");
        match admitted.settle(Some(&name)) {
            Ok(()) => held.push(admitted),
            Err(full) => break full,
        }
    };
    assert_eq!((full, held.len()), (Full::Guests { max: 40 }, 13));
    // Each has a place for its other lanes as well.
    for lane in 0..26 {
        let mut admitted = admission.admit("10.0.0.1:1", true).expect("handshakes have places");
        assert_eq!(admitted.settle(Some(&client(lane / 2))), Ok(()), "{lane}");
        held.push(admitted);
    }
    assert_eq!(admission.counts()[2], Taken { now: 39, max: 40 });
    let mut members = Vec::new();
    for (address, is_known) in [("10.0.0.1:1", true), ("10.77.0.1:1", false)] {
        for _ in 0..8 {
            let mut member = admission.admit(address, is_known).expect("a place is left");
            assert_eq!(member.settle(None), Ok(()), "{address}");
            members.push(member);
        }
    }
    held.truncate(12);
    let mut admitted = admission.admit("10.0.0.1:1", true).expect("handshakes have places");
    assert_eq!(admitted.settle(Some(&client(99))), Ok(()), "a place is free again");
}

/// Members and clients behind one gateway share the places of its address.
#[test]
fn guests_of_one_address_leave_places_for_members_there() {
    let admission = admission(1_024, 16, 128);
    let mut held = Vec::new();
    let full = loop {
        let mut admitted = guest(&admission, "10.0.0.1:1").expect("handshakes have places");
        match admitted.settle(Some(&client(held.len()))) {
            Ok(()) => held.push(admitted),
            Err(full) => break full,
        }
    };
    assert_eq!((full, held.len()), (Full::PerAddress { max: 16 }, 16));
    for _ in 0..4 {
        let mut member = guest(&admission, "10.0.0.1:1").expect("a place is left");
        assert_eq!(member.settle(None), Ok(()));
        held.push(member);
    }
    let full = guest(&admission, "10.0.0.1:1").expect_err("all are taken");
    assert_eq!(full, Full::PerAddress { max: 16 });
}

/// Whoever had one connection had as many as it liked: under one name a guest took all places,
/// by handshakes that it left open at their last step.
#[test]
fn one_guest_never_has_all_places() {
    let admission = admission(64, 512, 128);
    let mut held = Vec::new();
    let full = loop {
        // From everywhere, where a member is as well.
        let mut admitted = admission.admit("10.0.0.1:1", true).expect("a place is left");
        match admitted.settle(Some(&client(0))) {
            Ok(()) => held.push(admitted),
            Err(full) => break full,
        }
    };
    assert_eq!((full, held.len()), (Full::Guests { max: 40 }, 40));
    let mut member = admission.admit("10.0.0.1:1", true).expect("a place is left");
    assert_eq!(member.settle(None), Ok(()));
    // Another guest has its lanes when there are places again, whatever the first one takes.
    held.truncate(37);
    for lane in 0..LANES {
        let mut first = admission.admit("10.0.0.1:1", true).expect("handshakes have places");
        let mut other = admission.admit("10.0.0.1:1", true).expect("handshakes have places");
        assert_eq!(other.settle(Some(&client(1))), Ok(()), "{lane}");
        let full = first.settle(Some(&client(0))).expect_err("the rest is the other's");
        assert_eq!(full, Full::Guests { max: 40 });
        held.push(other);
    }
}

/// Whoever had one connection had all places of its address as well.
#[test]
fn one_guest_has_no_more_than_the_places_of_its_address() {
    let admission = admission(1_024, 16, 128);
    let mut held = Vec::new();
    let full = loop {
        let mut admitted = guest(&admission, "10.0.0.1:1").expect("handshakes have places");
        match admitted.settle(Some(&client(0))) {
            Ok(()) => held.push(admitted),
            Err(full) => break full,
        }
    };
    assert_eq!((full, held.len()), (Full::PerAddress { max: 16 }, 16));
}

#[test]
fn a_process_that_may_open_few_files_lets_few_in() {
    let max = |files| Admission::new(&Bounds::default(), files).counts()[0].max;
    assert_eq!([None, Some(1_000_000), Some(1_024)].map(max), [1_024, 1_024, 512]);
    assert_eq!(Some(1).map(|files| max(Some(files))), Some(1));
}

/// A storm of clients is when somebody has to ask, and no reason to keep members out.
#[test]
fn whoever_asks_gets_in_beside_all_guests_and_takes_no_place_of_members() {
    for (max, most) in [(1_024, 8), (256, 8), (64, 4), (4, 1)] {
        let admission = admission(max, max, 512);
        let mut held = Vec::new();
        for number in 0.. {
            let mut admitted = guest(&admission, &format!("10.0.{}.1:1", number % 250))
                .expect("handshakes have places");
            if admitted.settle(Some(&client(number))).is_err() {
                break;
            }
            held.push(admitted);
        }
        let open = admission.counts()[0].now;
        let full = loop {
            let mut admitted = guest(&admission, "127.0.0.1:1").expect("handshakes have places");
            match admitted.settle_admin(Role::Admin) {
                Ok(()) => held.push(admitted),
                Err(full) => break full,
            }
        };
        assert_eq!(full, Full::Admins { max: most }, "of {max}");
        assert_eq!(admission.counts()[0].now, open + most, "one that is refused has no place");
        let state = admission.state.lock().all;
        assert_eq!((state.admins, state.shaking), (most, 0), "of {max}");
        for member in 0..admission.for_members.open {
            let address = format!("10.1.0.{member}:1");
            let mut admitted = admission.admit(&address, true).expect("it is kept for members");
            admitted.settle(None).expect("it is one");
            held.push(admitted);
        }
    }
}

/// Whoever watches a group that is ill keeps nobody from mending it.
#[test]
fn who_looks_leaves_places_for_who_acts() {
    for (max, viewers, admins) in [(1_024, 6, 2), (64, 2, 2), (4, 1, 0)] {
        let admission = admission(max, max, 512);
        let mut held = Vec::new();
        let mut settle = |role| loop {
            let mut admitted = guest(&admission, "127.0.0.1:1").expect("handshakes have places");
            match admitted.settle_admin(role) {
                Ok(()) => held.push(admitted),
                Err(full) => break (full, std::mem::take(&mut held)),
            }
        };
        let (full, looking) = settle(Role::Viewer);
        assert_eq!((full, looking.len()), (Full::Viewers { max: viewers }, viewers));
        let (full, acting) = settle(Role::Admin);
        assert_eq!((full, acting.len()), (Full::Admins { max: viewers + admins }, admins));
    }
}

#[test]
fn nothing_is_kept_of_those_that_have_gone() {
    let admission = admission(100, 100, 100);
    for host in 0..50 {
        for address in [format!("10.0.0.{host}:1"), format!("[2001:db8::{host}]:1")] {
            let mut admitted = guest(&admission, &address).expect("there is room");
            if host % 2 == 0 {
                let name = PeerName::from(format!("client-{host}"));
                let guest = Some(&name).filter(|_| host % 4 == 0);
                admitted.settle(guest).expect("there is room");
            } else if host % 3 == 0 {
                // The ninth of these is closed.
                let _ = admitted.settle_admin(Role::Admin);
            }
        }
    }
    let state = admission.state.lock();
    assert_eq!((state.all, state.origins.len()), (Counts::default(), 0));
}
