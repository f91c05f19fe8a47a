//! The built binary against a group on loopback, in plain text.

mod support;

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use quorate::{Event, PeerRole};
use support::{Trio, quorate, until};

/// A-17 of the acceptance: health, one dead, no quorum.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_has_a_code_for_health_for_one_dead_and_for_no_quorum() {
    let mut trio = Trio::start(|_, builder| builder).await;
    let all = trio.addresses.clone().map(|(_, address)| address).join(",");
    let status = ["--peer", &*all, "status"];
    let check = ["--peer", &*all, "check"];
    let primary = trio.primary();

    let well = quorate(&status).await;
    assert_eq!(well.code, 0, "{well:?}");
    assert!(well.printed.starts_with("group quota: healthy\n"), "{well:?}");
    assert!(well.printed.contains(&format!("seen by   {primary} (primary)")), "{well:?}");
    let ok = quorate(&check).await;
    assert_eq!(ok.code, 0, "{ok:?}");
    assert!(ok.printed.starts_with("OK: group quota: "), "{ok:?}");

    let [first, second] = trio.replicas();
    trio.stop(&first).await;
    let degraded = quorate(&status).await;
    assert_eq!(degraded.code, 5, "{degraded:?}");
    assert!(degraded.printed.contains(&format!("{first} is not connected")), "{degraded:?}");
    assert_eq!(quorate(&check).await.code, 1);

    trio.stop(&second).await;
    until(trio.peer(&primary), |status| !status.quorum || status.primary.is_none()).await;
    let lost = quorate(&status).await;
    assert_eq!(lost.code, 6, "{lost:?}");
    assert!(lost.printed.starts_with("group quota: nobody decides\n"), "{lost:?}");
    let told = format!("nobody decides: waits for {first}, {second}; {primary} has the most");
    assert!(lost.printed.contains(&told), "{lost:?}");
    let critical = quorate(&check).await;
    assert_eq!(critical.code, 2, "{critical:?}");
    assert_eq!(critical.printed.lines().count(), 1);

    trio.stop(&primary).await;
    let nobody = quorate(&status).await;
    assert_eq!(nobody.code, 4, "{nobody:?}");
    assert_eq!(quorate(&check).await.code, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_is_enough_for_whatever_is_to_be_done() {
    let trio = Trio::start(|_, builder| builder).await;
    let primary = trio.primary();
    let [first, second] = trio.replicas();
    // Of a replica, for what the primary or another one carries out.
    let peer = ["--peer", trio.address(&second)];
    let run = async |words: &[&str]| quorate(&[&peer, words].concat()).await;

    let zero = run(&["priority", &second, "0", "--json"]).await;
    assert_eq!(zero.code, 0, "{zero:?}");
    assert_eq!(zero.json()["answer"]["priority"], 0);
    until(trio.peer(&primary), |status| {
        status.peers.iter().any(|peer| peer.name.as_str() == second && peer.priority == Some(0))
    })
    .await;
    let refused = run(&["switch-primary", &second, "--json"]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert_eq!(refused.json()["error"], "priority_zero");
    assert_eq!(refused.json()["effect"], "none");

    let switched = run(&["switch-primary", &first]).await;
    assert_eq!((switched.code, &*switched.printed), (0, &*format!("{first} is primary\n")));
    until(trio.peer(&first), |status| status.role == PeerRole::Primary && status.quorum).await;

    // Nobody is there to ask, and it is not said that it is meant.
    let asked = run(&["leave", &primary]).await;
    assert_eq!(asked.code, 2, "{asked:?}");
    assert!(asked.complained.contains("--yes"), "{asked:?}");
    let unknown = run(&["leave", "nobody", "--yes"]).await;
    assert_eq!(unknown.code, 1, "{unknown:?}");
    let alive = run(&["forget", &primary, "--yes", "--json"]).await;
    assert_eq!((alive.code, &alive.json()["error"]), (1, &"alive".into()), "{alive:?}");
    let left = run(&["leave", &primary, "--yes"]).await;
    assert_eq!(left.code, 0, "{left:?}");
    let status = until(trio.peer(&first), |status| status.size == 2).await;
    assert!(status.members.iter().all(|member| member.name.as_str() != primary));

    let told =
        trio.peer(&primary).events_since(0).into_iter().find_map(|event| match event.event {
            Event::AdminActed { what, .. } => Some(what),
            _ => None,
        });
    assert_eq!(told.as_deref(), Some("leave"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_charged_looked_at_explained_and_reset() {
    let trio = Trio::start(|_, builder| builder).await;
    let peer = ["--peer", trio.address("c")];
    let run = async |words: &[&str]| quorate(&[&peer, words].concat()).await;

    let admitted = run(&["ask", "api", "alice", "3", "--json"]).await;
    assert_eq!(admitted.code, 0, "{admitted:?}");
    assert_eq!(admitted.json()["answer"]["remaining"], 0);
    let used = trio.limiter("a").peek("api", "alice", 1).await.expect("a primary").used();
    assert_eq!(used, 3);
    let denied = run(&["ask", "api", "alice"]).await;
    assert_eq!(denied.code, 7, "{denied:?}");
    let beginning = "api: 1 for alice denied; 0 of 3 left; try again in ";
    assert!(denied.printed.starts_with(beginning), "{denied:?}");
    assert_eq!(run(&["peek", "api", "616c696365", "--hex"]).await.code, 7);
    assert_eq!(run(&["peek", "api", "bob"]).await.code, 0);
    let explained = run(&["explain", "api", "alice"]).await;
    assert_eq!(explained.code, 7, "{explained:?}");
    assert!(explained.printed.starts_with("api: 1 for alice would be denied; "), "{explained:?}");
    assert!(explained.printed.contains("refuses 1, 0 left"), "{explained:?}");
    let unknown = run(&["ask", "none", "alice", "--json"]).await;
    assert_eq!((unknown.code, &unknown.json()["error"]), (1, &"unknown_limit".into()));
    let reset = run(&["reset", "api", "alice", "--yes"]).await;
    assert_eq!(reset.code, 0, "{reset:?}");
    assert!(reset.printed.starts_with("alice begins anew under api: "), "{reset:?}");
    assert_eq!(run(&["peek", "api", "alice", "3"]).await.code, 0);

    let document = run(&["top", "--once", "--every", "1ms", "--json"]).await.json();
    let names: Vec<_> =
        document["limits"].as_array().into_iter().flatten().map(|row| &row["name"]).collect();
    assert_eq!(names, ["api", "mail"]);
    assert_eq!(document["limits"][1]["capacity"], 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_shown_checked_and_changed_for_the_whole_group() {
    let trio = Trio::start(|_, builder| builder).await;
    let peer = ["--peer", trio.address("b")];
    let run = async |words: &[&str]| quorate(&[&peer, words].concat()).await;
    let shown = run(&["limits", "show"]).await;
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.printed.starts_with("# revision 0\n[limits.api]\n"), "{shown:?}");

    let folder = support::papers::Folder::new("limits");
    let same = folder.write("same.toml", &shown.printed);
    let checked = run(&["limits", "check", &same]).await;
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.printed.ends_with("= the group has these limits\n"), "{checked:?}");
    let other = folder.write("other.toml", "limits.api.rate = \"7/s\"\n");
    let checked = run(&["limits", "check", &other, "--json"]).await;
    let document = checked.json();
    let changes = &document["changes"];
    assert_eq!((&changes["changed"][0], &changes["removed"][0]), (&"api".into(), &"mail".into()));
    let fields = changes["fields"]["api"].as_array().expect("a list");
    let rate = fields.iter().find(|it| it["field"] == "rate");
    assert_eq!(rate.map(|it| &it["new"]), Some(&"7/s".into()), "{fields:?}");
    let put = run(&["limits", "put", &other, "--carry", "reset", "--yes", "--json"]).await;
    assert_eq!((put.code, &put.json()["answer"]["revision"]), (0, &1.into()), "{put:?}");
    let shown = run(&["limits", "show"]).await;
    assert!(shown.printed.starts_with("# revision 1\n[limits.api]\n"), "{shown:?}");
    assert!(!shown.printed.contains("mail"), "{shown:?}");
    // No group is asked about a file alone.
    assert_eq!(quorate(&["limits", "check", &other]).await.code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_is_turned_on_paused_and_off_at_any_peer() {
    let trio = Trio::start(|_, builder| builder).await;
    let [replica, _] = trio.replicas();
    let peer = ["--peer", trio.address(&replica)];
    let run = async |words: &[&str]| quorate(&[&peer, words].concat()).await;

    let off = run(&["monitor"]).await;
    assert_eq!((off.code, &*off.printed), (0, "off: nobody is forgotten by itself\n"));
    let on = run(&["monitor", "size", "3", "--grace", "5m", "--json"]).await;
    assert_eq!(on.code, 0, "{on:?}");
    assert_eq!(on.json()["answer"]["size"], 3);
    assert_eq!(on.json()["answer"]["grace_ms"], 300_000);
    let resized = run(&["monitor", "size", "5", "--json"]).await;
    assert_eq!(resized.json()["answer"]["grace_ms"], 300_000, "{resized:?}");
    assert_eq!(run(&["monitor", "pause", "1h"]).await.code, 0);
    let status = run(&["status", "--json"]).await;
    assert_eq!((status.code, &status.json()["findings"][0]["code"]), (0, &"monitor_paused".into()));
    assert_eq!(run(&["monitor", "resume"]).await.code, 0);
    let refused = run(&["monitor", "size", "99"]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert_eq!(run(&["monitor", "off"]).await.code, 0);
    assert_eq!(run(&["status"]).await.code, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_quorum_is_brought_back_by_force() {
    let mut trio = Trio::start(|_, builder| builder).await;
    let primary = trio.primary();
    let peer = ["--peer", trio.address(&primary)].map(str::to_owned);
    let run = async |words: &[&str]| {
        quorate(&[&peer.each_ref().map(|word| &**word), words].concat()).await
    };
    let [first, second] = trio.replicas();
    let both = format!("{first},{second}");
    let early = run(&["force-primary", &primary, "--gone", &both, "--yes", "--json"]).await;
    assert_eq!((early.code, &early.json()["error"]), (1, &"has_quorum".into()), "{early:?}");

    let taken = trio.limiter(&primary).acquire("mail", "alice", 7).await.expect("a primary");
    assert_eq!(taken.granted, 7);
    trio.stop(&first).await;
    trio.stop(&second).await;
    until(trio.peer(&primary), |status| status.lost.is_some()).await;
    let half = run(&["force-primary", &primary, "--gone", &first, "--yes", "--json"]).await;
    assert_eq!((half.code, &half.json()["error"]), (1, &"unaccounted".into()), "{half:?}");
    assert_eq!(run(&["force-primary", "--best", "--gone", &both]).await.code, 2);
    let forced = run(&["force-primary", "--best", "--gone", &both, "--yes"]).await;
    assert_eq!(forced.code, 0, "{forced:?}");
    assert!(forced.printed.starts_with(&format!("{primary} is primary of generation ")));
    assert!(forced.printed.contains("kept: everything decided up to "), "{forced:?}");
    until(trio.peer(&primary), |status| status.role == PeerRole::Primary && status.quorum).await;
    assert_eq!(run(&["peek", "mail", "alice", "93"]).await.code, 0);
    assert_eq!(run(&["peek", "mail", "alice", "94"]).await.code, 7);
    let status = run(&["status"]).await;
    assert_eq!(status.code, 0, "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_group_than_the_one_that_is_meant_is_not_asked() {
    let trio = Trio::start(|_, builder| builder).await;
    let peer = ["--peer", trio.address("a")];
    let meant = quorate(&[&peer[..], &["--group", "quota", "status"]].concat()).await;
    assert_eq!(meant.code, 0, "{meant:?}");
    let other = quorate(&[&peer[..], &["--group", "other", "status", "--json"]].concat()).await;
    assert_eq!(other.code, 4, "{other:?}");
    assert_eq!(other.json()["error"], "not_allowed");
    assert!(other.complained.contains("other"), "{other:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_lets_nobody_ask_says_so() {
    let trio = Trio::start(|_, builder| builder.no_admin()).await;
    let kept_out = quorate(&["--peer", trio.address("a"), "status", "--json"]).await;
    assert_eq!(kept_out.code, 4, "{kept_out:?}");
    assert_eq!(kept_out.json()["error"], "not_allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_as_lines_and_as_they_happen() {
    let trio = Trio::start(|_, builder| builder).await;
    let primary = trio.primary();
    let [next, _] = trio.replicas();
    let peer = ["--peer", trio.address(&primary)];
    let events = quorate(&[&peer[..], &["events", "--json"]].concat()).await;
    assert_eq!(events.code, 0, "{events:?}");
    let documents: Vec<serde_json::Value> = events
        .printed
        .lines()
        .map(|line| serde_json::from_str(line).expect("one document a line"))
        .collect();
    assert!(documents.iter().any(|event| event["event"] == "founded"), "{documents:?}");
    assert!(documents.iter().all(|event| event["told_by"] == *primary));
    let newest = documents.last().expect("there are some")["number"].to_string();

    let mut following = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(peer)
        .args(["events", "--follow", "--since", &*newest])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    let mut printed = following.stdout.take().expect("it is piped");
    trio.peer(&primary).switch_primary(next.as_str()).await.expect("it is ready");
    let seen = tokio::task::spawn_blocking(move || {
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&seen).contains("primary_changed") {
            let read = printed.read(&mut buffer).expect("it is open");
            assert!(read > 0, "it has ended: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&buffer[..read]);
        }
    });
    let seen = tokio::time::timeout(support::LONG, seen).await;
    following.kill().expect("it runs");
    following.wait().expect("it has ended");
    seen.expect("it follows").expect("the event is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn top_is_one_screen_and_one_document() {
    let trio = Trio::start(|_, builder| builder).await;
    let primary = trio.primary();
    let peer = ["--peer", trio.address("b"), "top", "--every", "100ms", "--once"];
    let screen = quorate(&peer).await;
    assert_eq!(screen.code, 0, "{screen:?}");
    assert!(screen.printed.starts_with("group quota  healthy  generation "), "{screen:?}");
    assert!(screen.printed.contains(&format!("primary {primary} for ")), "{screen:?}");
    let document = quorate(&[&peer[..], &["--json"]].concat()).await.json();
    assert_eq!(document["primary"], *primary);
    assert_eq!(document["spare"], 1);
    assert_eq!(document["findings"], serde_json::json!([]));
}

/// `quorate status | head` ended with a panic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_no_more_hears_no_complaint() {
    let trio = Trio::start(|_, builder| builder).await;
    let address = trio.address("a").to_owned();
    let ended = tokio::task::spawn_blocking(move || {
        let mut child = Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(["--peer", &*address, "status", "--watch", "--every", "1ms"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        drop(child.stdout.take());
        child.wait_with_output().expect("it ends")
    });
    let ended = ended.await.expect("it does not panic");
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

#[tokio::test]
async fn a_wrong_command_line_has_its_code_also_for_monitors() {
    assert_eq!(quorate(&["status", "--bogus"]).await.code, 2);
    assert_eq!(quorate(&["check", "--bogus"]).await.code, 3);
    assert_eq!(quorate(&["limits", "check"]).await.code, 2);
    let unknown = quorate(&["--timeout", "-1s", "check"]).await;
    assert_eq!(unknown.code, 3, "{unknown:?}");
    assert!(unknown.printed.starts_with("UNKNOWN: "), "{unknown:?}");
    assert_eq!(unknown.printed.lines().count(), 1, "{unknown:?}");
    assert_eq!(quorate(&["--as", "ops bob", "status"]).await.code, 2);
    assert_eq!(quorate(&["status"]).await.code, 2);
    assert_eq!(quorate(&["check"]).await.code, 3);
    assert_eq!(quorate(&["status", "--tls-ca", "ca.pem", "--peer", "x:1"]).await.code, 2);
    assert_eq!(quorate(&["--help"]).await.code, 0);
    assert_eq!(quorate(&["--version"]).await.code, 0);
    assert_eq!(quorate(&["completions", "bash"]).await.code, 0);
}

/// A page that nobody could read was called done, and a look one that may be done or not.
#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_told_by_the_code() {
    for (words, code) in
        [(&["--help"][..], 2), (&["--version"], 2), (&["completions", "bash"], 2), (&["check"], 3)]
    {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("it is there");
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        let ended = command.args(words).env_remove("QUORATE_PEERS").stdout(full).output();
        let ended = ended.expect("the binary can be started");
        assert_eq!(ended.status.code(), Some(code), "{words:?}");
        let complained = String::from_utf8_lossy(&ended.stderr);
        assert!(complained.contains("cannot be written"), "{words:?}: {complained}");
    }
}

#[test]
fn a_limits_file_may_come_by_standard_input() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["limits", "check", "-"])
        .env_remove("QUORATE_PEERS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(b"limits.api.rate = \"7/s\"\n").expect("it reads");
    drop(stdin);
    let ended = child.wait_with_output().expect("it ends");
    let printed = String::from_utf8_lossy(&ended.stdout);
    assert_eq!(printed, "standard input: 1 limit, usable\n");
}
