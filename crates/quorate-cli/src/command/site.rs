//! `site`: which of two sites decides.

use serde_json::{Value, json};

use crate::arguments::command::{Promoting, Siting};
use crate::command::Run;
use crate::exit::{Exit, Failure};
use crate::group::{Reached, Survey};
use crate::report::document::Document;
use crate::report::site::{Promotion, Site};
use crate::text::style::Style;
use crate::text::table::{Cell, Side, Table};
use crate::text::units::{are, counted, listed, moment, span};

/// Shows the sites, or changes which of them decides.
///
/// # Errors
///
/// If that is not changed, or not meant.
pub(crate) async fn run(run: &mut Run<'_>, what: Option<Siting>) -> Result<Exit, Failure> {
    match what.unwrap_or(Siting::Show) {
        Siting::Show => show(run).await,
        Siting::Activate => activate(run).await,
        Siting::Demote => demote(run).await,
        Siting::Promote(promoting) => promote(run, &promoting).await,
        Siting::Switch => switch(run).await,
    }
}

async fn show(run: &mut Run<'_>) -> Result<Exit, Failure> {
    let mut reached = run.group()?.any().await?;
    let answer = reached.look(json!({"ask": "site"}), run.patience()?).await?;
    run.tell(&reached, &answer, || described(&reached, &answer));
    Ok(match Site::read(Document::of(&answer)) {
        Some(site) if site.is_undecided() || reached.status.primary.is_none() => Exit::NoPrimary,
        Some(site) if site.is_ready() => Exit::Done,
        _ => Exit::Degraded,
    })
}

async fn activate(run: &mut Run<'_>) -> Result<Exit, Failure> {
    let mut reached = run.group()?.any().await?;
    let site = site_of(&reached)?;
    let Site { name, other, .. } = &site;
    if site.is_passive() {
        let detail = format!(
            "{name} follows {other}, and is not activated but promoted: quorate site switch or \
             quorate site promote; nothing was changed"
        );
        return Err(Failure::new(Exit::Refused, "other_decides", detail));
    }
    let group = &reached.status.group;
    let question = format!(
        "{name} decides for group {group} from now on, and {other} follows it. Tell one of the two \
         only, and once: what {other} has decided by itself is followed by nobody here."
    );
    run.consent(&question)?;
    let answer = reached.act(json!({"ask": "site", "mode": "active"}), run.patience()?).await?;
    run.tell(&reached, &answer, || format!("{name} decides, and {other} follows as it is met"));
    Ok(Exit::Done)
}

async fn demote(run: &mut Run<'_>) -> Result<Exit, Failure> {
    let mut reached = run.group()?.any().await?;
    // A site that follows has nothing to give up.
    let primary = reached.status.primary.clone().filter(|name| *name != reached.status.name);
    if let Some(primary) = primary.filter(|_| site_of(&reached).is_ok_and(|it| it.is_passive())) {
        reached = run.group()?.find(&primary).await?;
    }
    let site = site_of(&reached)?;
    let Site { name, other, .. } = &site;
    if site.is_passive() && !site.is_sealed() {
        let detail = format!("{name} follows {other}, and has nothing to give up");
        return Err(Failure::new(Exit::Refused, "already", detail));
    }
    let question = format!(
        "{name} gives up deciding, and nobody decides until one of the two sites is promoted: \
         callers are refused meanwhile. quorate site switch does both without refusing any."
    );
    run.consent(&question)?;
    let answer = reached.act(json!({"ask": "site", "mode": "passive"}), run.patience()?).await?;
    run.tell(&reached, &answer, || {
        format!("{name} has given up deciding; promote {other}: quorate site promote")
    });
    Ok(Exit::Done)
}

async fn switch(run: &mut Run<'_>) -> Result<Exit, Failure> {
    let mut reached = run.group()?.any().await?;
    let site = site_of(&reached)?;
    let next = site.next().to_owned();
    let last = if next == site.name { &site.other } else { &site.name };
    let question = format!(
        "{next} decides from now on in the place of {last}, which follows it. Callers are held for \
         a moment, and nothing is lost."
    );
    run.consent(&question)?;
    let answer = reached.act(json!({"ask": "site", "switch": true}), run.patience()?).await?;
    run.tell(&reached, &answer, || format!("{next} decides, and {last} follows"));
    Ok(Exit::Done)
}

async fn promote(run: &mut Run<'_>, promoting: &Promoting) -> Result<Exit, Failure> {
    let Promoting { at, force, gone } = promoting;
    let mut reached = match at {
        Some(name) => run.group()?.find(name).await?,
        None => {
            let survey = run.group()?.survey().await?;
            candidate(run, survey).await?
        }
    };
    let site = site_of(&reached)?;
    let (name, peer) = (site.name.clone(), reached.status.name.clone());
    if site.mode == "standalone" && !force {
        // It would found a group of its own beside the one that the other site may decide for.
        let detail = format!(
            "{peer} knows of no site that decides: quorate site activate has {name} do so, if {} \
             does not; nothing was changed",
            site.other
        );
        return Err(Failure::new(Exit::Refused, "undecided", detail));
    }
    if *force {
        let question = forced(&site, &reached, gone, (run.now_ms)());
        run.consent_typed(&question, "site", &name)?;
    } else {
        let without = without(gone);
        let question = format!(
            "{name} decides from now on, with {peer} as primary, and {} follows it.{without}",
            site.other
        );
        run.consent(&question)?;
    }
    let mut ask = json!({"ask": "site", "mode": "active"});
    if *force {
        ask["force"] = json!(true);
    }
    if !gone.is_empty() {
        ask["gone"] = json!(gone);
    }
    let answer = reached.act(ask, run.patience()?).await?;
    run.tell(&reached, &answer, || promoted(&site, &peer, &answer));
    Ok(Exit::Done)
}

/// What a peer says of its site.
///
/// # Errors
///
/// If it stands at none.
fn site_of(reached: &Reached) -> Result<Site, Failure> {
    let none = || {
        let detail = format!(
            "{} stands at no site by its settings: give all members their site, one after the \
             other; nothing was changed",
            reached.status.name
        );
        Failure::new(Exit::Refused, "no_site", detail)
    };
    reached.status.site.clone().ok_or_else(none)
}

/// The peer that is promoted where none is named: of the site that follows, the one that holds the
/// most of those in reach; where nobody of it is, whoever knows most of the other one.
///
/// # Errors
///
/// If that one is not reached.
async fn candidate(run: &Run<'_>, survey: Survey) -> Result<Reached, Failure> {
    let follows =
        |peer: &Reached| site_of(peer).is_ok_and(|site| site.is_passive() && !site.has_given_up());
    if !survey.peers.iter().any(follows) {
        let best = survey.into_best();
        let standby = site_of(&best)?.standby;
        let linked = standby.into_iter().find(|peer| peer.is_linked && peer.is_listed);
        return match linked {
            Some(peer) => run.group()?.find(&peer.name).await,
            None => Ok(best),
        };
    }
    let following = survey.peers.into_iter().filter(follows).rev();
    let held = |peer: &Reached| {
        let is_ready = site_of(peer).is_ok_and(|site| site.state == "ReadyForPromotion");
        (is_ready, peer.status.generation, peer.status.term, peer.status.sequence)
    };
    following.max_by_key(held).ok_or_else(|| {
        let detail = "nobody is reached who could be promoted: name one by --at";
        Failure::new(Exit::Refused, "not_ready", detail)
    })
}

fn without(gone: &[String]) -> String {
    match gone {
        [] => String::new(),
        gone => format!("\n{} {} taken to be gone for good.", listed(gone), are(gone.len())),
    }
}

/// What is known of the other site, what is kept, and what is lost.
fn forced(site: &Site, reached: &Reached, gone: &[String], now_ms: u64) -> String {
    let Site { name, other, .. } = site;
    let last = site.silent_ms.map(|silent| now_ms.saturating_sub(silent));
    let word = match (last, site.silent_ms) {
        (Some(at), Some(silent)) => {
            format!("last word of {other}: {} ago, at {}", span(silent), moment(at))
        }
        _ => format!("last word of {other}: not known"),
    };
    // In step it held all that there was when it heard the last word.
    let until = match site.behind_ms {
        Some(0) => last.or(site.as_of_ms),
        _ => site.as_of_ms.or(last),
    };
    let until = until.map_or_else(|| "when it was last heard".to_owned(), moment);
    format!(
        "{name} is {}, {}: {}\n{word}\n\n{name} decides from now on, with {} as primary, without \
         a word of {other}.{}\nkept: what {name} holds, which is about what {other} had decided \
         until {until}\nlost: what {other} has decided since\nStop site {other} or cut it off \
         until it is passive: until the two meet it goes on deciding.",
        site.mode,
        site.state,
        site.reason,
        reached.status.name,
        without(gone),
    )
}

fn promoted(site: &Site, peer: &str, answer: &Value) -> String {
    let Site { name, other, .. } = site;
    let now = Site::read(Document::of(answer));
    let promotion = now.as_ref().and_then(|now| now.last_promotion);
    let as_of = promotion.and_then(|promotion| promotion.as_of_ms).map(moment);
    let kept = as_of.map(|as_of| format!("\nkept: everything decided up to {as_of}"));
    let kept = kept.unwrap_or_default();
    match promotion.is_some_and(|promotion| promotion.is_forced) {
        true => format!(
            "{name} decides, by {peer}{kept}\nlost: what only {other} held; keep {other} stopped \
             or cut off until it is passive"
        ),
        false => format!("{name} decides, by {peer}, and {other} follows{kept}"),
    }
}

fn described(reached: &Reached, answer: &Value) -> String {
    let Some(site) = Site::read(Document::of(answer)) else {
        return format!("{} stands at no site", reached.status.name);
    };
    let mut lines = Vec::new();
    let mut line = |name: &str, said: Option<String>| {
        lines.extend(said.filter(|said| !said.is_empty()).map(|said| format!("{name:<9}{said}")));
    };
    let epoch = site.epoch.map(|epoch| format!(", site epoch {epoch}")).unwrap_or_default();
    line("site", Some(format!("{}, {}{epoch}", site.name, site.mode)));
    line("other", Some(site.other.clone()));
    line("phase", Some(site.phase.clone()));
    line("state", Some(format!("{}: {}", site.state, site.reason)));
    line("primary", reached.status.primary.clone());
    line("silent", site.silent_ms.map(|silent| format!("{} since its last word", span(silent))));
    line("lag", site.lag.map(|lag| format!("{lag} cuts")));
    line("at risk", at_risk(&site));
    line(
        "promoted",
        site.last_promotion.map(|promotion| {
            let how = if promotion.is_forced { "by force" } else { "without a loss" };
            let as_of = promotion.as_of_ms.map(|at| format!(", as of {}", moment(at)));
            format!("{how}{}", as_of.unwrap_or_default())
        }),
    );
    line("measured", site.last_promotion.as_ref().and_then(measured));
    line("lost", site.last_promotion.as_ref().and_then(|promotion| lost(promotion, &site.other)));
    line("seen by", Some(reached.status.name.clone()));
    if !site.standby.is_empty() {
        lines.push(String::new());
        lines.extend(table(&site).lines(Style::PLAIN));
    }
    lines.join("\n")
}

/// What would be lost if the other site were promoted now.
fn at_risk(site: &Site) -> Option<String> {
    let units = counted(site.rpo_units?, "unit");
    Some(match site.rpo_ms? {
        0 if site.rpo_units == Some(0) => {
            format!("nothing: most of {} hold all that was decided", site.other)
        }
        ms => {
            format!("at most {units}, of the last {}, which {} does not hold", span(ms), site.other)
        }
    })
}

/// How long a promotion took.
fn measured(promotion: &Promotion) -> Option<String> {
    let took = format!("it took {}", span(promotion.took_ms?));
    let outage = promotion.outage_ms.map(span);
    let outage = outage.map(|outage| format!(", and nobody was heard to decide for {outage}"));
    Some(took + &outage.unwrap_or_default())
}

/// What was lost by it.
fn lost(promotion: &Promotion, other: &str) -> Option<String> {
    let units = counted(promotion.lost_units?, "unit");
    let most = if promotion.is_lost_exact { "" } else { "at most " };
    Some(format!("{most}{units}, as {other} said when it came back"))
}

/// The peers of the site that follows.
fn table(site: &Site) -> Table {
    let columns = [
        ("STANDBY", Side::Left),
        ("LINK", Side::Left),
        ("LISTED", Side::Left),
        ("LAG", Side::Right),
    ];
    let mut table = Table::new(&columns);
    for peer in &site.standby {
        table.rows.push(vec![
            Cell::plain(&peer.name),
            Cell::plain(if peer.is_linked { "up" } else { "down" }),
            Cell::plain(if peer.is_listed { "yes" } else { "no" }),
            Cell::from(peer.lag.map(|lag| lag.to_string())),
        ]);
    }
    table
}
