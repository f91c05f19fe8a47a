//! Who is asked, and in what order.

use quorate::transport::BoxFuture;

use super::*;
use crate::door::paper::{Paper, healthy, of_replica, three};

const PATIENCE: Duration = Duration::from_secs(10);

fn group(paper: &Paper, contacts: &[&str]) -> Group {
    let contacts = contacts.iter().map(|contact| (*contact).to_owned()).collect();
    Group::new(Arc::new(paper.clone()), contacts, PATIENCE).expect("there are addresses")
}

fn failure<T>(result: Result<T, Failure>) -> Failure {
    result.err().expect("it fails")
}

#[test]
fn without_an_address_it_is_said_how_to_give_one() {
    let none = Group::new(Arc::new(Paper::default()), vec![String::new()], PATIENCE);
    let none = failure(none);
    assert_eq!((none.exit, &*none.error), (Exit::Usage, "no_peers"));
    assert!(none.detail.contains("QUORATE_PEERS"));
    let many = Group::new(Arc::new(Paper::default()), vec!["x:1".into(); 65], PATIENCE);
    assert_eq!(failure(many).exit, Exit::Usage);
}

#[tokio::test(start_paused = true)]
async fn the_first_address_that_answers_is_taken() {
    let group = group(&three(), &["127.0.0.1:9", "127.0.0.1:2", "127.0.0.1:1"]);
    assert_eq!(group.first().await.ok().map(|it| it.status.name).as_deref(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn of_each_address_that_leads_nowhere_it_is_said_why() {
    let paper = Paper::default();
    let kept_out = DoorError::NotAllowed { detail: "its admin lane is closed".into() };
    let both = ["127.0.0.1:8", "127.0.0.1:9"];
    let gone = failure(group(&paper, &both).first().await);
    assert_eq!((gone.exit, &*gone.error), (Exit::Unreached, "unreachable"));
    paper.keeps_out("127.0.0.1:9", kept_out);
    let failure = failure(group(&paper, &both).first().await);
    assert_eq!((failure.exit, &*failure.error), (Exit::Unreached, "not_allowed"));
    let detail = "nobody listens at 127.0.0.1:8; 127.0.0.1:9: its admin lane is closed";
    assert_eq!(failure.detail, detail);
}

#[tokio::test(start_paused = true)]
async fn whoever_never_answers_has_its_part_of_the_time() {
    struct Mute(Paper);

    impl Doors for Mute {
        fn open<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Box<dyn Door>, DoorError>> {
            match address {
                "mute:1" => Box::pin(std::future::pending()),
                _ => self.0.open(address),
            }
        }
    }

    let contacts = vec!["mute:1".to_owned(), "127.0.0.1:1".to_owned()];
    let group = Group::new(Arc::new(Mute(three())), contacts, PATIENCE).expect("usable");
    let start = Instant::now();
    assert_eq!(group.first().await.ok().map(|it| it.status.name).as_deref(), Some("a"));
    assert_eq!(start.elapsed(), PATIENCE / 2);
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_found_by_what_the_others_know_of_it() {
    let paper = three();
    let found = group(&paper, &["127.0.0.1:1"]).find("c").await;
    assert_eq!(found.ok().map(|it| it.address).as_deref(), Some("127.0.0.1:3"));
    // From here it has another address than from there.
    paper.keeps_out("127.0.0.1:3", DoorError::Unreachable { detail: "no route".into() });
    paper.peer("outside:3", of_replica("c"));
    let found = group(&paper, &["127.0.0.1:1", "outside:3"]).find("c").await;
    assert_eq!(found.ok().map(|it| it.address).as_deref(), Some("outside:3"));
    let gone = failure(group(&paper, &["127.0.0.1:1"]).find("c").await);
    assert_eq!(
        (gone.exit, &*gone.detail),
        (Exit::Unreached, "c is not reached at 127.0.0.1:3: no route")
    );
}

/// Told was why another address was not reached, which had nothing to do with it.
#[tokio::test(start_paused = true)]
async fn of_a_peer_that_is_not_reached_its_own_address_is_told() {
    let paper = three();
    let gone = |address: &str| DoorError::Unreachable {
        detail: format!("cannot connect to {address}: connection refused"),
    };
    for address in ["127.0.0.1:2", "127.0.0.1:3"] {
        paper.keeps_out(address, gone(address));
    }
    let group = group(&paper, &["127.0.0.1:2", "127.0.0.1:1"]);
    let detail = "c is not reached: cannot connect to 127.0.0.1:3: connection refused";
    assert_eq!(failure(group.find("c").await).detail, detail);
    let mut status = healthy();
    status["members"][2]["address"] = json!("");
    status["peers"][1]["address"] = Value::Null;
    paper.peer("127.0.0.1:1", status);
    let unknown = failure(group.find("c").await);
    assert_eq!((unknown.exit, &*unknown.error), (Exit::Unreached, "unreachable"));
    assert!(unknown.detail.contains("a does not know its address"), "{}", unknown.detail);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_nobody_knows_is_refused_with_those_that_are_known() {
    let unknown = failure(group(&three(), &["127.0.0.1:1"]).find("x").await);
    assert_eq!((unknown.exit, &*unknown.error), (Exit::Refused, "unknown_peer"));
    assert!(unknown.detail.ends_with("its members are a, b, c"), "{}", unknown.detail);
}

/// An address that leads to somebody else by now must not make that one leave.
#[tokio::test(start_paused = true)]
async fn an_address_that_leads_to_another_peer_is_not_taken() {
    let paper = three();
    paper.peer("127.0.0.1:3", of_replica("b"));
    let failure = failure(group(&paper, &["127.0.0.1:1"]).find("c").await);
    assert_eq!(failure.exit, Exit::Unreached);
    assert_eq!(failure.detail, "c is not reached: 127.0.0.1:3 leads to b");
}

#[tokio::test(start_paused = true)]
async fn a_survey_asks_all_members_and_speaks_by_the_primary() {
    let survey = group(&three(), &["127.0.0.1:2"]).survey().await.expect("they answer");
    let names: Vec<&str> = survey.statuses().iter().map(|status| &*status.name).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(survey.best().status.name, "a");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_cut_off_does_not_speak_for_the_group() {
    let paper = three();
    let mut alone = of_replica("c");
    alone["primary"] = Value::Null;
    alone["quorum"] = json!(false);
    paper.peer("127.0.0.1:3", alone);
    paper.keeps_out("127.0.0.1:1", DoorError::Unreachable { detail: "no route".into() });
    let survey = group(&paper, &["127.0.0.1:3"]).survey().await.expect("they answer");
    assert_eq!(survey.best().status.name, "b");
    assert_eq!(survey.unanswered, [("a".to_owned(), "no route".to_owned())]);
}

/// A planned switch between the two answers looked like two primaries.
#[tokio::test(start_paused = true)]
async fn two_that_decide_are_asked_again() {
    struct Switched(Paper);

    impl Doors for Switched {
        fn open<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Box<dyn Door>, DoorError>> {
            Box::pin(async move {
                let door = self.0.open(address).await?;
                let is_former = door.peer() == "a";
                Ok(Box::new(Turning { door, is_former, asked: 0 }) as Box<dyn Door>)
            })
        }
    }

    /// The former primary is asked first, before it hands over.
    struct Turning {
        door: Box<dyn Door>,
        is_former: bool,
        asked: usize,
    }

    impl Door for Turning {
        fn peer(&self) -> &str {
            self.door.peer()
        }

        fn ask<'a>(&'a mut self, ask: &'a Value) -> BoxFuture<'a, Result<Value, DoorError>> {
            Box::pin(async move {
                self.asked += 1;
                let mut status = self.door.ask(ask).await?;
                if self.is_former && self.asked > 1 {
                    status["role"] = json!("replica");
                }
                Ok(status)
            })
        }
    }

    let paper = three();
    let mut next = of_replica("b");
    next["role"] = json!("primary");
    next["primary"] = json!("b");
    next["term"] = json!(5);
    paper.peer("127.0.0.1:2", next);
    let contacts = vec!["127.0.0.1:1".to_owned()];
    let group = Group::new(Arc::new(Switched(paper)), contacts, PATIENCE).expect("usable");
    let survey = group.survey().await.expect("they answer");
    let deciding: Vec<&str> = survey
        .statuses()
        .into_iter()
        .filter(|status| status.decides())
        .map(|status| &*status.name)
        .collect();
    assert_eq!(deciding, ["b"]);
    assert_eq!(survey.best().status.name, "b");
}

#[tokio::test(start_paused = true)]
async fn a_second_look_finds_who_has_come_and_misses_who_has_gone() {
    let paper = three();
    paper.keeps_out("127.0.0.1:3", DoorError::Unreachable { detail: "not yet".into() });
    let group = group(&paper, &["127.0.0.1:1"]);
    let survey = group.survey().await.expect("they answer");
    assert_eq!(survey.peers.len(), 2);
    paper.lets_in("127.0.0.1:3");
    let survey = survey.again(&group).await.expect("they answer");
    assert_eq!(survey.peers.len(), 3);
    assert_eq!(survey.unanswered, []);
}

/// Each look took as long as that one member was waited for.
#[tokio::test(start_paused = true)]
async fn a_member_that_keeps_us_waiting_is_left_alone_for_a_while() {
    struct Frozen(Paper, std::sync::atomic::AtomicUsize);

    impl Doors for Frozen {
        fn open<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Box<dyn Door>, DoorError>> {
            if address != "127.0.0.1:3" {
                return self.0.open(address);
            }
            self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Box::pin(std::future::pending())
        }
    }

    let doors = Arc::new(Frozen(three(), Default::default()));
    let contacts = vec!["127.0.0.1:1".to_owned()];
    let group = Group::new(doors.clone(), contacts, PATIENCE).expect("usable");
    let mut survey = group.survey().await.expect("they answer");
    let start = Instant::now();
    for _ in 0..9 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        survey = survey.again(&group).await.expect("they answer");
        assert_eq!(survey.unanswered.len(), 1);
        assert!(survey.unanswered[0].1.contains("nobody answered at 127.0.0.1:3"));
    }
    assert_eq!(start.elapsed(), Duration::from_secs(9));
    assert_eq!(doors.1.load(std::sync::atomic::Ordering::Relaxed), 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    survey = survey.again(&group).await.expect("they answer");
    assert_eq!(survey.unanswered.len(), 1);
    assert_eq!(doors.1.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn an_act_that_is_not_answered_in_time_has_an_unknown_outcome() {
    struct Silent;

    impl Door for Silent {
        fn peer(&self) -> &str {
            "a"
        }

        fn ask<'a>(&'a mut self, _: &'a Value) -> BoxFuture<'a, Result<Value, DoorError>> {
            Box::pin(std::future::pending())
        }
    }

    let status = Status::read(&healthy());
    let (door, address) = (Box::new(Silent), String::new());
    let mut reached = Reached { door, address, status, document: Value::Null };
    let act = failure(reached.act(json!({"ask": "leave"}), PATIENCE).await);
    assert_eq!((act.exit, &*act.error), (Exit::Unknown, "timed_out"));
    let look = failure(reached.look(json!({"ask": "stats"}), PATIENCE).await);
    assert_eq!(look.exit, Exit::Unreached);
}

mod choice;
