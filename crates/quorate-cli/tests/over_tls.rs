//! The built binary against a group over mutual TLS: who may look, who may act, who is kept out.

mod support;

use quorate::PeerRole;
use support::papers::{Authority, Folder};
use support::{Outcome, Trio, quorate, until};

/// A-16 of the acceptance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_says_who_may_look_and_who_may_act() {
    let own = Authority::new("the group's CA");
    let foreign = Authority::new("another CA");
    let trio = Trio::start(|name, builder| builder.transport(own.transport(name))).await;
    let folder = Folder::new("tls");
    let [next, _] = trio.replicas();
    let address = trio.address("a").to_owned();
    let with = async |options: &[String], words: &[&str]| -> Outcome {
        let options: Vec<&str> = options.iter().map(|option| &**option).collect();
        quorate(&[&["--peer", &*address], &options[..], words].concat()).await
    };
    let switch = ["switch-primary", &*next, "--json"];

    let viewer = folder.options("viewer", "quorate-viewer:bob", &own, &own);
    let looks = with(&viewer, &["status"]).await;
    assert_eq!(looks.code, 0, "{looks:?}");
    let refused = with(&viewer, &switch).await;
    assert_eq!((refused.code, &refused.json()["error"]), (1, &"not_allowed".into()), "{refused:?}");
    assert_ne!(trio.primary(), next);
    for words in [
        &["check"][..],
        &["top", "--once", "--every", "1ms"],
        &["events"],
        &["monitor"],
        &["limits", "show"],
        &["peek", "api", "alice"],
        &["explain", "api", "alice"],
    ] {
        let looks = with(&viewer, words).await;
        assert_eq!(looks.code, 0, "{words:?}: {looks:?}");
    }
    for words in [
        &["ask", "api", "alice"][..],
        &["reset", "api", "alice", "--yes"],
        &["monitor", "size", "3"],
        &["forget", &*next, "--yes"],
        &["priority", &*next, "1"],
        &["found", "--yes"],
        &["force-primary", &*next, "--gone", "a", "--yes"],
    ] {
        let refused = with(&viewer, words).await;
        assert_eq!(refused.code, 1, "{words:?}: {refused:?}");
        assert!(refused.complained.contains("bob may look"), "{refused:?}");
    }

    // A peer's own certificate, none at all, and one of another CA.
    let of_peer = folder.options("peer", "quorate:a", &own, &own);
    let stranger = folder.options("stranger", "quorate-admin:alice", &foreign, &own);
    let outsider = folder.options("outsider", "quorate-admin:alice", &foreign, &foreign);
    for options in [&of_peer, &Vec::new(), &stranger, &outsider] {
        for words in [&["status"][..], &switch] {
            let kept_out = with(options, words).await;
            assert_eq!(kept_out.code, 4, "{options:?} {words:?}: {kept_out:?}");
            assert_ne!(kept_out.complained, "");
        }
        assert_eq!(with(options, &["check"]).await.code, 3);
    }
    assert_ne!(trio.primary(), next);

    let admin = folder.options("admin", "quorate-admin:alice", &own, &own);
    let status = with(&admin, &["status", "--json"]).await.json();
    let subject = &status["status"]["certificate"]["subject"];
    assert!(subject.as_str().is_some_and(|it| it.contains("quorate:")), "{subject}");
    let acts = with(&admin, &switch).await;
    assert_eq!(acts.code, 0, "{acts:?}");
    until(trio.peer(&next), |status| status.role == PeerRole::Primary).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_at_a_group_in_plain_text_says_so() {
    let own = Authority::new("the group's CA");
    let trio = Trio::start(|_, builder| builder).await;
    let folder = Folder::new("plain");
    let options = folder.options("admin", "quorate-admin:alice", &own, &own);
    let options: Vec<&str> = options.iter().map(|option| &**option).collect();
    let peer = ["--peer", trio.address("a"), "status"];
    let kept_out = quorate(&[&peer[..], &options].concat()).await;
    assert_eq!(kept_out.code, 4, "{kept_out:?}");
    assert!(kept_out.complained.contains("TLS"), "{kept_out:?}");
}
