//! The peers of a group, a row for each: what the primary says of it beside what it says itself.

use crate::report::peer::Other;
use crate::report::status::{Member, Status};
use crate::text::style::Paint;
use crate::text::table::{Cell, Side, Table};
use crate::text::units::{count, span};

/// The columns of the table.
pub(crate) const COLUMNS: [(&str, Side); 9] = [
    ("NAME", Side::Left),
    ("ROLE", Side::Left),
    ("STATE", Side::Left),
    ("PRIO", Side::Right),
    ("LAG", Side::Right),
    ("SILENT", Side::Right),
    ("STORE", Side::Right),
    ("CERT", Side::Right),
    ("ADDRESS", Side::Left),
];

/// Peers that are no members of which one line each is shown.
const MAX_GUESTS: usize = 20;

/// How many others are connected that are no members.
pub(crate) fn guests(best: &Status) -> usize {
    let is_guest =
        |other: &&Other| other.is_linked == Some(true) && best.member(&other.name).is_none();
    best.others.iter().filter(is_guest).count()
}

/// The table of all members, and of the joiners and clients that the best informed peer knows.
pub(crate) fn table(best: &Status, all: &[&Status], now_ms: u64) -> Table {
    let mut table = Table::new(&COLUMNS);
    let is_member = |name: &str| best.member(name).is_some();
    let guests = best.others.iter().filter(|other| !is_member(&other.name));
    let guests: Vec<Member> = guests
        .filter(|other| other.is_linked == Some(true))
        .take(MAX_GUESTS)
        .map(|other| Member {
            name: other.name.clone(),
            address: other.address.clone(),
            ..Member::default()
        })
        .collect();
    for member in best.members.iter().chain(&guests) {
        let own = all.iter().find(|status| status.name == member.name);
        let other = best.other(&member.name);
        // What it does not say itself, of an older version, the others do.
        let others = all.iter().filter_map(|status| status.other(&member.name));
        let told = other.into_iter().chain(others).find_map(|other| other.priority);
        let priority = own.and_then(|own| own.priority).or(told);
        let row = Row { best, member, other, own: own.copied(), priority };
        table.rows.push(row.cells(now_ms));
    }
    table
}

/// What is known of one peer.
struct Row<'a> {
    best: &'a Status,
    member: &'a Member,
    other: Option<&'a Other>,
    own: Option<&'a Status>,
    priority: Option<u64>,
}

impl Row<'_> {
    fn cells(&self, now_ms: u64) -> Vec<Cell> {
        let (paint, state) = self.state();
        let silent = self.member.silent_ms.filter(|silent| *silent > 0).map(span);
        let fill = self.own.and_then(Status::fill_percent).map(|fill| format!("{fill} %"));
        let certificate = self.certificate().map(|end| match end.saturating_sub(now_ms) {
            0 => "ended".to_owned(),
            left => span(left),
        });
        let name = match self.is_primary() {
            true => Cell::new(Paint::Strong, &self.member.name),
            false => Cell::plain(&self.member.name),
        };
        vec![
            name,
            self.role().into(),
            Cell::new(paint, state),
            self.priority.map(|it| it.to_string()).into(),
            self.lag().map(count).into(),
            silent.into(),
            fill.into(),
            certificate.into(),
            self.member.address.clone().into(),
        ]
    }

    fn is_primary(&self) -> bool {
        self.best.primary.as_ref() == Some(&self.member.name)
    }

    fn is_best(&self) -> bool {
        self.best.name == self.member.name
    }

    /// What it is by its own word, or else by that of one that is connected to it. Of whoever is
    /// down the others know what it was, or, if they never met it, nothing: they call it joining.
    fn role(&self) -> Option<String> {
        let own = self.own.map(|status| status.role.clone()).filter(|role| !role.is_empty());
        own.or_else(|| self.other.filter(|other| other.is_linked != Some(false))?.role.clone())
    }

    fn lag(&self) -> Option<u64> {
        match self.is_best() {
            true => self.best.lag,
            false => self.other.and_then(|other| other.lag),
        }
    }

    fn certificate(&self) -> Option<u64> {
        let own = self.own.and_then(|status| status.certificate.as_ref());
        let shown = || self.other.and_then(|other| other.certificate.as_ref());
        Some(own.or_else(shown)?.ends_at_ms)
    }

    /// The worst that can be said of it.
    fn state(&self) -> (Paint, &'static str) {
        let has_failed = self.own.is_some_and(|own| own.has_failed_storage)
            || self.other.is_some_and(|other| other.has_failed_storage);
        if has_failed {
            return (Paint::Bad, "storage failed");
        }
        if self.member.is_stale {
            return (Paint::Bad, "stale");
        }
        if self.is_best() {
            return match self.best.is_counted {
                Some(false) => (Paint::Warning, "not counted"),
                _ => (Paint::Good, "ok"),
            };
        }
        let Some(other) = self.other else { return (Paint::Faint, "unknown") };
        let is_guest = self.best.member(&self.member.name).is_none();
        match other {
            Other { is_linked: Some(false), .. } => (Paint::Bad, "down"),
            Other { is_linked: None, .. } => (Paint::Faint, "unknown"),
            Other { is_stopping: true, .. } => (Paint::Warning, "stopping"),
            _ if is_guest => (Paint::Good, "connected"),
            Other { is_member: Some(false), .. } => (Paint::Warning, "not counted"),
            Other { suspects: true, .. } => (Paint::Warning, "suspects"),
            Other { is_current: Some(false), .. } => (Paint::Warning, "behind"),
            _ => (Paint::Good, "ok"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::door::paper::{healthy, of_replica, replica};

    /// The state of `c`, as the primary has it and as it says itself.
    fn state(change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let mut best = healthy();
        let mut own = of_replica("c");
        change(&mut best, &mut own);
        let (best, own) = (Status::read(&best), Status::read(&own));
        table(&best, &[&best, &own], 0).rows[2][2].text.clone()
    }

    #[test]
    fn the_worst_that_can_be_said_of_a_member_is_its_state() {
        assert_eq!(state(|_, _| {}), "ok");
        assert_eq!(state(|best, _| best["peers"][1]["is_current"] = json!(false)), "behind");
        assert_eq!(state(|best, _| best["peers"][1]["suspects"] = json!(true)), "suspects");
        assert_eq!(state(|best, _| best["peers"][1]["is_member"] = json!(false)), "not counted");
        assert_eq!(state(|best, _| best["peers"][1]["is_stopping"] = json!(true)), "stopping");
        assert_eq!(state(|best, _| best["peers"][1]["link"] = json!("down")), "down");
        assert_eq!(state(|best, _| best["peers"] = json!([])), "unknown");
        let stale = |best: &mut Value, _: &mut Value| {
            best["members"][2]["is_stale"] = json!(true);
            best["peers"][1]["link"] = json!("down");
        };
        assert_eq!(state(stale), "stale");
        assert_eq!(state(|_, own| own["storage_state"] = json!("failed")), "storage failed");
    }

    /// A member that nobody had met since the group was founded was shown as joining.
    #[test]
    fn whoever_is_down_has_no_role_but_by_its_own_word() {
        let mut best = healthy();
        best["peers"][1]["link"] = json!("down");
        best["peers"][1]["role"] = json!("joining");
        let (best, own) = (Status::read(&best), Status::read(&of_replica("c")));
        let role = |all: &[&Status]| table(&best, all, 0).rows[2][1].text.clone();
        assert_eq!(role(&[&best]), "-");
        assert_eq!(role(&[&best, &own]), "replica");
    }

    #[test]
    fn of_many_clients_the_table_shows_some_and_the_rest_is_counted() {
        let mut status = healthy();
        let client = |n: u16| {
            let mut client = replica(&format!("client-{n}"), n);
            client["role"] = json!("client");
            client["is_member"] = json!(false);
            client
        };
        let peers = status["peers"].as_array_mut().expect("a list");
        peers.extend((0..300).map(client));
        peers[2]["link"] = json!("down");
        let status = Status::read(&status);
        let table = table(&status, &[&status], 0);
        assert_eq!(guests(&status), 299);
        assert_eq!(table.rows.len(), 3 + MAX_GUESTS);
        assert_eq!(table.rows[3][0].text, "client-1");
        assert_eq!(table.rows[3][2].text, "connected");
    }

    #[test]
    fn a_certificate_that_has_ended_has_no_time_left() {
        let mut own = healthy();
        own["certificate"] = json!({"not_after_ms": 5000});
        let status = Status::read(&own);
        let left = |now_ms| table(&status, &[&status], now_ms).rows[0][7].text.clone();
        assert_eq!([left(0), left(4000), left(5000), left(6000)], ["5 s", "1 s", "ended", "ended"]);
    }
}
