//! Limits in files beside limits that were changed by a call: which of them hold, and what is told.

mod told;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quorate::transport::InProcess;
use quorate::{Acknowledge, Peer, PeerBuilder, PolicyError};
use quorate_ratelimit::testing::TestGroup;
use quorate_ratelimit::{Carry, FileChange, Limit, Limits, LimitsSource, LimitsSpec, RateLimiter};
use tokio::task::JoinHandle;

use crate::told::Told;

const NAMES: [&str; 3] = ["a", "b", "c"];
/// Long enough for every file to be looked at a few times.
const WHILE: Duration = Duration::from_secs(10);

fn limits(burst: u64) -> Limits {
    let api = Limit::per_day(1).burst(burst);
    Limits::builder().limit("api", api).build().expect("usable")
}

async fn group() -> TestGroup {
    let exact = |peer: PeerBuilder| peer.acknowledge(Acknowledge::Majority);
    TestGroup::start(&limits(10), NAMES, exact).await.expect("the settings are valid")
}

/// A directory with a limits file for each peer.
struct Files(PathBuf);

impl Files {
    fn new(test: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("quorate-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        Self(dir)
    }

    fn of(&self, peer: &str) -> PathBuf {
        self.0.join(format!("{peer}.json"))
    }

    fn write(&self, peer: &str, burst: u64) {
        let text = format!(r#"{{"limits": {{"api": {{"rate": "1/d", "burst": {burst}}}}}}}"#);
        std::fs::write(self.of(peer), text).expect("it is written");
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

/// A limits file that is followed, and what came of it.
struct Watched {
    heard: Arc<Mutex<Vec<FileChange>>>,
    task: JoinHandle<()>,
}

impl Watched {
    fn start(limiter: &RateLimiter, file: &Path, wins: bool) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let read = |text: &str| serde_json::from_str::<LimitsSpec>(text);
        let file = limiter.limits_file(file, read);
        let file = if wins { file.wins() } else { file };
        let told = {
            let heard = heard.clone();
            move |change| heard.lock().expect("no panic").push(change)
        };
        Self { heard, task: tokio::spawn(file.watch(told)) }
    }

    /// What was told since this was asked last.
    fn heard(&self) -> Vec<FileChange> {
        std::mem::take(&mut *self.heard.lock().expect("no panic"))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn differs(revision: u64) -> FileChange {
    FileChange::Differs { revision, limits: vec!["api".into()] }
}

/// The revision of the group's limits, and the burst that it decides by.
async fn present(group: &TestGroup) -> (u64, u64) {
    let limiter = group.limiter("b");
    let decision = limiter.peek("api", "k", 1).await.expect("a primary");
    (limiter.limits_status().revision, decision.limit)
}

/// It did nothing, and nobody was told.
#[tokio::test(start_paused = true)]
async fn a_file_that_was_rolled_out_after_a_live_change_is_told_to_have_no_effect() {
    let told = Told::here();
    let (mut group, files) = (group().await, Files::new("rolled-out"));
    assert_eq!(group.limiter("a").change_limits(&limits(20), Carry::Keep).await, Ok(1));
    group.pass(WHILE).await;
    // Each peer's code has others now.
    assert_eq!(told.warnings("than this peer's code says"), 3, "{told:?}");
    let status = group.limiter("c").limits_status();
    assert_eq!((&status.differing[..], status.source), (&["api".into()][..], LimitsSource::Code));

    group.primary().await;
    group.restart("b").await.expect("valid");
    files.write("b", 30);
    let watched = Watched::start(group.limiter("b"), &files.of("b"), false);
    group.pass(WHILE).await;
    assert_eq!(watched.heard(), [differs(1)]);
    assert_eq!(told.warnings("than this peer's limits file says"), 1, "{told:?}");
    let status = group.limiter("b").limits_status();
    assert_eq!((&status.differing[..], status.source), (&["api".into()][..], LimitsSource::File));
    assert_eq!(present(&group).await, (1, 20));
    // When it changes it is taken up, and there is no difference any more.
    files.write("b", 40);
    group.pass(WHILE).await;
    assert_eq!(watched.heard(), [FileChange::Taken { revision: 2 }]);
    assert_eq!(group.limiter("b").limits_status().differing, Vec::<String>::new());
    assert_eq!(present(&group).await, (2, 40));
    // A live change makes one again.
    assert_eq!(group.limiter("c").change_limits(&limits(50), Carry::Keep).await, Ok(3));
    group.pass(WHILE).await;
    assert_eq!(watched.heard(), [differs(3)]);
    assert_eq!(told.warnings("than this peer's limits file says"), 2, "{told:?}");
    assert_eq!(present(&group).await, (3, 50));
    // And one that says what the file says ends it.
    assert_eq!(group.limiter("c").change_limits(&limits(40), Carry::Keep).await, Ok(4));
    group.pass(WHILE).await;
    assert_eq!((watched.heard(), present(&group).await), (vec![], (4, 40)));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_read_at_the_start_is_told() {
    let (group, files) = (group().await, Files::new("unreadable"));
    let watched = Watched::start(group.limiter("a"), &files.of("a"), true);
    group.pass(WHILE).await;
    let [FileChange::Refused { reason }] = &watched.heard()[..] else { panic!("once") };
    assert!(reason.contains("No such file"), "{reason}");
    assert_eq!(present(&group).await, (0, 10));
}

#[tokio::test(start_paused = true)]
async fn where_the_file_wins_the_primarys_file_holds() {
    let told = Told::here();
    let (group, files) = (group().await, Files::new("wins"));
    let primary = group.primary().await;
    let others: Vec<_> = NAMES.into_iter().filter(|name| *name != primary).collect();
    for name in NAMES {
        files.write(name, 10);
    }
    let watched = |name: &str| Watched::start(group.limiter(name), &files.of(name), true);
    let (of_primary, of_first, of_second) =
        (watched(&primary), watched(others[0]), watched(others[1]));
    group.pass(WHILE).await;
    assert_eq!(present(&group).await, (0, 10), "nothing differs");

    // A rollout begins with the others: their files do nothing, and that is told.
    for name in &others {
        files.write(name, 20);
    }
    group.pass(WHILE).await;
    assert_eq!(present(&group).await, (0, 10));
    for watched in [&of_first, &of_second] {
        assert_eq!(watched.heard(), [differs(0)]);
    }
    files.write(&primary, 20);
    group.pass(WHILE).await;
    assert_eq!(of_primary.heard(), [FileChange::Taken { revision: 1 }]);
    assert_eq!(present(&group).await, (1, 20));

    // What somebody changes is set back.
    let changed = group.limiter(others[0]).change_limits(&limits(99), Carry::Keep).await;
    assert_eq!(changed, Ok(2));
    group.pass(WHILE).await;
    assert_eq!(present(&group).await, (3, 20));
    assert_eq!(of_primary.heard(), [FileChange::Taken { revision: 3 }]);
    assert_eq!(told.warnings("and the file wins: api"), 1, "{told:?}");

    // Another primary brings its file, once; and nothing goes to and fro.
    files.write(others[0], 30);
    group.pass(WHILE).await;
    assert_eq!(present(&group).await, (3, 20));
    group.limiter(&primary).peer().switch_primary(others[0]).await.expect("it takes over");
    group.pass(WHILE).await;
    assert_eq!(present(&group).await, (4, 30));
    group.pass(10 * WHILE).await;
    assert_eq!(present(&group).await, (4, 30));
}

/// A peer that has had other limits in its code than the file, as from before, takes the file's.
#[tokio::test(start_paused = true)]
async fn a_winning_file_is_taken_up_at_the_start_of_the_primary() {
    let (group, files) = (group().await, Files::new("at-start"));
    let primary = group.primary().await;
    files.write(&primary, 30);
    let watched = Watched::start(group.limiter(&primary), &files.of(&primary), true);
    group.pass(WHILE).await;
    assert_eq!(watched.heard(), [FileChange::Taken { revision: 1 }]);
    assert_eq!(present(&group).await, (1, 30));
    assert_eq!(group.limiter(&primary).limits_status().source, LimitsSource::WinningFile);
}

/// What is refused is not tried again each second.
#[tokio::test(start_paused = true)]
async fn a_winning_file_that_is_refused_is_told_once() {
    let (group, files) = (group().await, Files::new("refused"));
    let primary = group.primary().await;
    let limiter = group.limiter(&primary);
    let jobs = |lease| Limit::concurrent(2).lease(Duration::from_secs(lease));
    let changed = Limits::builder().limit("jobs", jobs(5)).build().expect("usable");
    assert_eq!(limiter.change_limits(&changed, Carry::Keep).await, Ok(1));
    // Permits of another lease cannot be carried over.
    let text = r#"{"limits": {"jobs": {"concurrent": 2, "lease": "7s"}}}"#;
    std::fs::write(files.of(&primary), text).expect("it is written");
    let watched = Watched::start(limiter, &files.of(&primary), true);
    group.pass(10 * WHILE).await;
    let heard = watched.heard();
    let is_refused = |change: &FileChange| matches!(change, FileChange::Refused { .. });
    assert!(heard.len() == 2 && is_refused(&heard[0]), "{heard:?}");
    assert_eq!(heard[1], FileChange::Differs { revision: 1, limits: vec!["jobs".into()] });
}

/// It was told each second that it is tried again.
#[tokio::test(start_paused = true)]
async fn a_file_that_is_too_long_for_a_group_is_told_once() {
    let (group, files) = (group().await, Files::new("too-long"));
    files.write("a", 10);
    let watched = Watched::start(group.limiter("a"), &files.of("a"), false);
    group.pass(WHILE).await;
    let limit = |number| format!(r#""limit-number-{number:05}": {{"rate": "1/d", "burst": 10}}"#);
    let all: Vec<String> = (0..4000).map(limit).collect();
    let text = format!(r#"{{"limits": {{{}}}}}"#, all.join(","));
    std::fs::write(files.of("a"), text).expect("it is written");
    group.pass(10 * WHILE).await;
    let heard = watched.heard();
    let [FileChange::Refused { reason }, FileChange::Differs { .. }] = &heard[..] else {
        panic!("{} times", heard.len())
    };
    assert!(reason.contains("is longer than"), "{reason}");
    assert_eq!(present(&group).await, (0, 10));
}

/// It was told each second that it is tried again, for as long as the process ran.
#[tokio::test(start_paused = true)]
async fn a_change_at_a_peer_that_was_shut_down_is_told_once_and_ends_the_watch() {
    let (group, files) = (group().await, Files::new("shut-down"));
    files.write("a", 10);
    let watched = Watched::start(group.limiter("a"), &files.of("a"), false);
    group.pass(WHILE).await;
    group.limiter("a").peer().shutdown().await;
    files.write("a", 20);
    group.pass(5 * WHILE).await;
    let heard = watched.heard();
    let [change @ FileChange::Failed { error: PolicyError::ShuttingDown }] = &heard[..] else {
        panic!("{heard:?}")
    };
    assert_eq!(
        change.to_string(),
        "this peer is shutting down: see at another one whether the change was made"
    );
    assert!(watched.task.is_finished());
}

/// It was refused for good, for the peer was no member yet.
#[tokio::test(start_paused = true)]
async fn a_change_at_a_peer_that_joins_is_made_when_it_is_counted_in() {
    let (network, files) = (InProcess::network(), Files::new("joins"));
    let start = async |name: &str, set: fn(PeerBuilder) -> PeerBuilder| {
        let builder = Peer::builder(name, limits(10).model()).transport(network.at(name));
        let peer = set(builder.tokio_clock()).start().await;
        RateLimiter::new(peer.expect("the settings are valid"), &limits(10))
    };
    let mut members = Vec::new();
    for name in NAMES {
        members.push(start(name, |peer| peer.members(NAMES.map(|name| (name, name)))).await);
    }
    for member in &members {
        member.wait_ready(10 * WHILE).await.expect("they form a group");
    }
    let primary = members[0].peer().status().primary.expect("it is ready");
    let deaf = NAMES.into_iter().find(|name| *name != primary.as_str()).expect("three");
    // As long as one does not hold the last change of the members there is no next one.
    network.cut_one_way(primary.as_str(), deaf);
    let first = start("x", |peer| peer.listen("x").join(NAMES)).await;
    first.peer().wait_counted(WHILE).await.expect("it is counted in");
    let j = start("j", |peer| peer.listen("j").join(NAMES)).await;
    files.write("j", 10);
    let watched = Watched::start(&j, &files.of("j"), false);
    tokio::time::sleep(WHILE / 10).await;
    files.write("j", 20);
    tokio::time::sleep(WHILE / 2).await;
    assert_eq!(watched.heard(), [FileChange::Failed { error: PolicyError::NotAllowed }]);
    network.heal(primary.as_str(), deaf);
    j.peer().wait_counted(10 * WHILE).await.expect("it is counted in");
    tokio::time::sleep(WHILE).await;
    assert_eq!(watched.heard(), [FileChange::Taken { revision: 1 }]);
}

/// A terminal was sent whatever stood in the file, and a line of thousands of names was printed.
#[tokio::test(start_paused = true)]
async fn what_a_file_says_sends_nothing_to_a_terminal_and_fills_no_screen() {
    let (group, files) = (group().await, Files::new("control"));
    files.write("a", 10);
    let watched = Watched::start(group.limiter("a"), &files.of("a"), false);
    group.pass(WHILE).await;
    let text = r#"{"limits": {"api": {"rate": "1/d", "burst": 10, "\u001b[2J": 1}}}"#;
    std::fs::write(files.of("a"), text).expect("it is written");
    group.pass(WHILE).await;
    let [FileChange::Refused { reason }] = &watched.heard()[..] else { panic!("once") };
    assert!(reason.contains(r"`\u{1b}[2J`"), "{reason:?}");
    assert!(!reason.contains('\u{1b}'), "{reason:?}");
    let limits = (0..4096).map(|number| format!("limit-{number}")).collect();
    let differs = FileChange::Differs { revision: 1, limits }.to_string();
    assert!(differs.ends_with("limit-6, limit-7 and 4088 more"), "{differs}");
}

/// What the group had been changed to since was set back by the same old file.
#[tokio::test(start_paused = true)]
async fn a_file_that_was_away_for_a_while_has_not_changed() {
    let (group, files) = (group().await, Files::new("away"));
    files.write("a", 10);
    let watched = Watched::start(group.limiter("a"), &files.of("a"), false);
    group.pass(WHILE).await;
    assert_eq!(group.limiter("b").change_limits(&limits(20), Carry::Keep).await, Ok(1));
    group.pass(WHILE).await;
    assert_eq!(watched.heard(), [differs(1)]);
    std::fs::remove_file(files.of("a")).expect("it is there");
    group.pass(WHILE).await;
    assert!(matches!(watched.heard()[..], [FileChange::Refused { .. }]));
    files.write("a", 10);
    group.pass(WHILE).await;
    assert_eq!((watched.heard(), present(&group).await), (vec![], (1, 20)));
    // Away once more, and another one then.
    std::fs::remove_file(files.of("a")).expect("it is there");
    group.pass(WHILE).await;
    files.write("a", 30);
    group.pass(WHILE).await;
    assert_eq!(watched.heard().last(), Some(&FileChange::Taken { revision: 2 }));
    assert_eq!(present(&group).await, (2, 30));
}

/// It was refused for a time, and never tried again.
#[tokio::test(start_paused = true)]
async fn a_winning_file_that_is_refused_is_taken_up_when_it_is_not_any_more() {
    let told = Told::here();
    let files = Files::new("again");
    let window = |seconds| Limit::window(10, Duration::from_secs(seconds));
    let limits = |seconds| Limits::builder().limit("api", window(seconds)).build().expect("usable");
    let group = TestGroup::start(&limits(60), NAMES, |peer| peer).await.expect("valid");
    let primary = group.primary().await;
    let text = r#"{"limits": {"api": {"window": "60s", "max": 10}}}"#;
    std::fs::write(files.of(&primary), text).expect("it is written");
    // As many forms as are kept at a time: the file's would be one more.
    for number in 1..=8 {
        let changed = group.limiter("a").change_limits(&limits(60 + number), Carry::Keep).await;
        assert_eq!(changed, Ok(number));
    }
    // Watched from now on only: it would have come between two of those changes, now and then.
    let watched = Watched::start(group.limiter(&primary), &files.of(&primary), true);
    group.pass(WHILE).await;
    let [FileChange::Refused { reason }, FileChange::Differs { .. }] = &watched.heard()[..] else {
        panic!("once each")
    };
    assert!(reason.contains("wait"), "{reason}");
    group.pass(60 * WHILE).await;
    assert_eq!(watched.heard(), [FileChange::Taken { revision: 9 }]);
    assert_eq!(present(&group).await.0, 9);
    assert_eq!(told.warnings("and the file wins: api"), 1, "{told:?}");
}
