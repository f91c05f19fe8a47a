//! Clients: peers whose calls others decide (docs/protocol.md, section 7).

use super::Scenario;
use super::script::{FIRST, ms, plan};
use crate::model::key::key;
use crate::network::filter::{Filter, MessageKind};
use crate::plan::Plan;
use crate::words::operation::{Kind, Outcome};
use crate::world::World;

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "client_through_a_failover", plan: one_client, script: through_a_failover },
    Scenario { name: "client_without_a_reply", plan: one_client, script: without_a_reply },
    Scenario { name: "client_with_the_cut_off", plan: one_client, script: with_the_cut_off },
];

/// The client.
const CLIENT: usize = 3;

/// Three members and a client, which stands beside the second.
fn one_client() -> Plan {
    Plan { client_peers: 1, ..plan(&[3, 2, 1]) }
}

impl World {
    fn found_with_client(&mut self) {
        self.found();
        self.start(CLIENT);
        self.expect_whole();
    }

    /// A client's calls of so many units each until one is acknowledged; what was refused was not
    /// decided.
    fn count_until_done(&mut self, units: u64) {
        for _ in 0..100 {
            let op = self.issue(CLIENT, Kind::Count, vec![(key(b'c', 0), units)], None);
            self.wait(ms(500));
            let outcome = op.and_then(|op| self.ops()[op].outcome);
            match outcome {
                Some(Outcome::Acknowledged(_)) => return,
                Some(Outcome::Refused) => {}
                outcome => return self.fail("scenario", format!("a call ends as {outcome:?}")),
            }
        }
        self.fail("liveness", format!("no call of a client is decided: {}", self.describe()));
    }

    /// The counter holds so many units at whoever is primary.
    fn expect_count(&mut self, units: u64) {
        let primary = self.primary().and_then(|peer| self.process(peer));
        let cell = primary.and_then(|process| process.store.read(0, &key(b'c', 0)));
        let found = cell.map_or(0, |value| value.words[0]);
        if found != units {
            let what = format!("{found} units are counted, not {units}: {}", self.describe());
            self.fail("clients", what);
        }
    }
}

/// A call that the first primary has decided, and the others hold; its reply is lost with it.
/// Nobody decides the call once more.
fn without_a_reply(world: &mut World) {
    world.found_with_client();
    world.count_until_done(5);
    world.add_filter(Filter::from(FIRST, &[MessageKind::Reply]));
    let op = world.issue(CLIENT, Kind::Count, vec![(key(b'c', 0), 1_000)], None);
    world.wait(ms(100));
    world.kill(FIRST, true);
    world.expect_other_than(FIRST, ms(15_000));
    world.run_while(ms(1_000), |world| world.is_served(CLIENT, 1));
    world.wait(ms(1_000));
    let outcome = op.and_then(|op| world.ops()[op].outcome);
    if !matches!(outcome, Some(Outcome::Unknown)) {
        return world.fail("clients", format!("a call without a reply ends as {outcome:?}"));
    }
    world.expect_count(1_005);
}

/// A call that the first primary has answered, and the others hold; its end; calls that nobody
/// decides, and one that its successor does. Each that was acknowledged is counted once.
fn through_a_failover(world: &mut World) {
    world.found_with_client();
    world.count_until_done(5);
    world.kill(FIRST, true);
    // No link tells the client at once that it is gone: this one is sent to nobody.
    let op = world.issue(CLIENT, Kind::Count, vec![(key(b'c', 0), 1_000)], None);
    world.expect_other_than(FIRST, ms(15_000));
    world.run_while(ms(1_000), |world| world.is_served(CLIENT, 1));
    world.count_until_done(7);
    let outcome = op.and_then(|op| world.ops()[op].outcome);
    if !matches!(outcome, Some(Outcome::Unknown)) {
        world.fail("scenario", format!("a call to nobody ends as {outcome:?}"));
    }
    world.expect_count(12);
}

/// The primary is cut off with the client: until its lease ends it may decide, and no majority
/// holds that.
fn with_the_cut_off(world: &mut World) {
    world.found_with_client();
    world.count_until_done(5);
    world.part(&[FIRST, CLIENT], &[1, 2]);
    let op = world.issue(CLIENT, Kind::Count, vec![(key(b'c', 0), 1_000)], None);
    world.expect_other_than(FIRST, ms(15_000));
    world.wait(ms(2_000));
    let outcome = op.and_then(|op| world.ops()[op].outcome);
    if matches!(outcome, Some(Outcome::Acknowledged(_))) {
        world.fail("scenario", "a minority acknowledges a call".into());
    }
    world.join(&[FIRST, CLIENT], &[1, 2]);
    world.wait(ms(1_000));
    world.count_until_done(7);
    world.expect_count(12);
}
