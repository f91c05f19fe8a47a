//! Whose word counts where several answer that do not agree.

use quorate::transport::BoxFuture;

use super::*;

const OTHER_ID: &str = "ffeeddccbbaa99887766554433221100";

/// A peer that was counted out, and goes on naming the primary that it had.
fn removed() -> Value {
    let mut status = of_replica("c");
    status["role"] = json!("removed");
    status["generation"] = json!(9);
    status
}

/// One that has founded a group of this name by itself.
fn stray(name: &str) -> Value {
    let mut status = healthy();
    for field in ["name", "primary"] {
        status[field] = json!(name);
    }
    status["group_id"] = json!(OTHER_ID);
    // It was founded later.
    status["generation"] = json!(2);
    status["members"] = json!([crate::door::paper::member(name, 9)]);
    status["peers"] = json!([]);
    status
}

async fn asked(group: &Group) -> String {
    group.any().await.map(|reached| reached.status.name).unwrap_or_else(|failure| failure.error)
}

#[tokio::test(start_paused = true)]
async fn the_view_of_one_that_was_counted_out_never_wins() {
    let paper = three();
    paper.peer("127.0.0.1:3", removed());
    for contacts in [&["127.0.0.1:3", "127.0.0.1:2"][..], &["127.0.0.1:3"]] {
        let group = group(&paper, contacts);
        let survey = group.survey().await.expect("they answer");
        assert_eq!(survey.best().status.name, "a", "{contacts:?}");
        assert!(["a", "b"].contains(&&*asked(&group).await), "{contacts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_holds_nothing_does_not_win_over_one_that_follows() {
    let paper = three();
    let mut blank = of_replica("c");
    blank["role"] = json!("joining");
    blank["primary"] = Value::Null;
    blank["quorum"] = json!(false);
    blank["group_id"] = Value::Null;
    paper.peer("127.0.0.1:9", blank);
    let group = group(&paper, &["127.0.0.1:9", "127.0.0.1:2"]);
    assert_eq!(asked(&group).await, "b");
}

#[tokio::test(start_paused = true)]
async fn of_two_that_decide_the_one_in_the_newest_generation_speaks() {
    let paper = three();
    let mut newer = of_replica("b");
    newer["role"] = json!("primary");
    newer["primary"] = json!("b");
    newer["generation"] = json!(2);
    newer["term"] = json!(0);
    paper.peer("127.0.0.1:2", newer);
    let survey = group(&paper, &["127.0.0.1:1", "127.0.0.1:2"]).survey().await;
    assert_eq!(survey.expect("they answer").best().status.name, "b");
}

#[tokio::test(start_paused = true)]
async fn two_groups_of_one_name_that_decide_are_both_named() {
    let paper = three();
    paper.peer("127.0.0.1:9", stray("d"));
    let group = group(&paper, &["127.0.0.1:9", "127.0.0.1:2"]);
    let survey = group.survey().await.expect("they answer");
    assert_eq!(survey.best().status.name, "a");
    let names: Vec<&str> = survey.statuses().iter().map(|status| &*status.name).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let statuses = survey.statuses();
    let findings = survey.seen(&statuses, 0, Default::default()).findings();
    let expected = format!(
        "two groups of this name decide: a (group id 00112233445566778899aabbccddeeff) and d \
         (group id {OTHER_ID})"
    );
    assert_eq!(findings[0].text, expected);
    assert_eq!(findings[0].severity, crate::report::finding::Severity::Critical);
    let refused = failure(group.any().await);
    assert_eq!((refused.exit, &*refused.error), (Exit::Refused, "two_groups"));
    // One of them has the name of a member.
    let mut other = stray("c");
    other["quorum"] = json!(false);
    paper.peer("127.0.0.1:3", other);
    let survey = group.survey().await.expect("they answer");
    assert!(survey.unanswered[0].1.contains(OTHER_ID), "{:?}", survey.unanswered);
    assert_eq!(failure(group.find("x").await).error, "unknown_peer");
}

/// The commands took their time anew for each that they asked.
#[tokio::test(start_paused = true)]
async fn all_that_a_command_asks_ends_within_its_time() {
    struct Mute(Paper);

    impl Doors for Mute {
        fn open<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Box<dyn Door>, DoorError>> {
            match address {
                "127.0.0.1:1" => self.0.open(address),
                _ => Box::pin(std::future::pending()),
            }
        }
    }

    let contacts = ["127.0.0.1:2", "127.0.0.1:1", "127.0.0.1:9"].map(str::to_owned).to_vec();
    let patience = Duration::from_secs(1);
    let group = Group::new(Arc::new(Mute(three())), contacts, patience).expect("usable").timed();
    let start = Instant::now();
    let failure = failure(group.find("c").await);
    assert_eq!(start.elapsed(), patience);
    let detail = "c is not reached: nobody answered at 127.0.0.1:3 within 500 ms";
    assert_eq!(failure.detail, detail);
    let mut reached = group.reach_within("127.0.0.1:1", patience).await.expect("it answers");
    let act = reached.act(json!({"ask": "leave"}), group.patience()).await;
    assert_eq!(act.expect_err("it is too late").exit, Exit::Unreached);
    // The time that somebody thinks is not theirs.
    let mut group = group;
    group.extend(patience);
    assert_eq!(group.patience(), patience);
}
