//! What stands at the end of each help.

pub(crate) const QUORATE: &str = "\
Examples:
  export QUORATE_PEERS=10.0.0.1:7101,10.0.0.2:7101
  quorate status
  quorate --peer 127.0.0.1:7101 top
  quorate switch-primary b
  quorate --tls-ca ca.pem --tls-cert alice.pem --tls-key alice.key forget b

Exit codes:
  0  done; of status, the group is healthy
  1  refused, and nothing was changed
  2  the command line cannot be understood, a question had to be asked and nobody was there, or
     what was to be said cannot be written
  3  the outcome is unknown: it may be done or not
  4  nobody was reached, or whoever was does not let this command in
  5  status, site: the group decides, and something is wrong with it
  6  status, site: nobody decides
  7  ask, peek, explain: the limit denies it
  check alone has codes of its own: 0 ok, 1 warning, 2 critical, 3 unknown";

macro_rules! status {
    () => {
        "\
Exit codes: 0 healthy, 5 degraded, 6 nobody decides, 4 nobody was reached.

Examples:
  quorate --peer 127.0.0.1:7101 status
  quorate status --watch
  quorate status --json | jq -r .status.primary
  until quorate status >/dev/null; do sleep 1; done      # wait until all is well again"
    };
}

pub(crate) const STATUS: &str = status!();

pub(crate) const STATUS_AND_WORDS: &str = concat!(
    "\
Words:
  PRIO         who is promoted first: the lowest number; never one with 0
  LAG          cuts that a member is behind the primary; a cut is what it sends at a time
  STORE        the part of its room that is taken, of cells or of bytes, whichever is nearer
  at risk      units that were admitted and that no majority holds yet: a failover would lose them
  reign        the founding (generation) and the election in it (term) that a primary is of
  behind       connected, and does not keep up with the primary
  suspects     connected, and does not hear the primary
  not counted  a member that has yet to be brought up to date: it does not vote
  stale        silent for the grace of the monitor, a minute by default
  down         not connected to the one who speaks
  removed      counted out of the group
  others       peers that are connected and no members: clients, and those that join

",
    status!()
);

pub(crate) const CHECK: &str = "\
Exit codes: 0 ok, 1 warning, 2 critical, 3 unknown. What is printed is one line, with numbers behind
a bar as Nagios and those after it read them.

Examples:
  quorate check
  quorate check --certificate-warning 30d --fill-warning 70
  quorate check --json";

pub(crate) const TOP: &str = "\
Keys: q ends it, p or space pauses it, up and down go from limit to limit. Without a terminal it
prints the screen once.

Examples:
  quorate top
  quorate top --every 5s
  quorate top --once
  quorate top --json | jq .decisions_per_second";

pub(crate) const EVENTS: &str = "\
Events are those of one peer, the first of --peer that answers; each peer numbers its own from its
start on.

Examples:
  quorate --peer 10.0.0.1:7101 events
  quorate events --since 120
  quorate events --follow --json >> events.jsonl";

pub(crate) const SWITCH: &str = "\
Nothing is lost, and callers are held for a moment.

Examples:
  quorate switch-primary b
  quorate --timeout 30s switch-primary b";

pub(crate) const LEAVE: &str = "\
Majorities are of one member less from then on. A peer that only restarts does not leave: its place
is kept.

Examples:
  quorate leave c
  quorate leave c --yes";

pub(crate) const FORGET: &str = "\
For one that is gone for good and cannot leave by itself. If it is not gone after all, it takes part
in nothing any more.

Examples:
  quorate forget b
  quorate forget b --yes";

pub(crate) const PRIORITY: &str = "\
It holds until that peer ends, and does not move the primary: switch-primary does.

Examples:
  quorate priority b 1
  quorate priority c 0      # c is never promoted";

pub(crate) const FOUND: &str = "\
For a group whose members wait for others that will never come. What only the missing ones hold is
lost. Where a member that is left holds data and the others are gone, take force-primary.

Examples:
  quorate found
  quorate found --at a,b --yes";

pub(crate) const FORCE: &str = "\
For a group that has lost its majority for good. Every member must be either in reach or named as
gone; those named are counted out, and take part in nothing any more. Name nobody who may still be
running: until it hears of this it would go on deciding.

Examples:
  quorate status                          # says who is waited for, and who has the most
  quorate force-primary a --gone b,c
  quorate force-primary --best --gone b,c
  quorate force-primary a --gone b,c --yes --json";

pub(crate) const MONITOR: &str = "\
With a monitor the group forgets a member by itself if it has been silent for the grace, and as many
live members as the size says are there without it. It never gives up a member that would be missed.

Examples:
  quorate monitor
  quorate monitor size 3 --grace 60s
  quorate monitor pause 2h
  quorate monitor resume
  quorate monitor off";

pub(crate) const SITE: &str = "\
Of two sites one decides, and the other follows it. For a change that is planned take switch. Where
the site that decides is lost, stop it or cut it off, and promote the other one by force: what only
the lost one held is lost then.

Exit codes of show: 0 Ready, 5 otherwise, 6 nobody decides.

Examples:
  quorate site
  quorate site activate
  quorate site switch
  quorate site demote
  quorate site promote --at d
  quorate site promote --at d --force --gone f";

pub(crate) const LIMITS: &str = "\
Examples:
  quorate limits show > limits.toml
  quorate limits check limits.toml
  quorate limits put limits.toml --carry keep";

pub(crate) const LIMITS_CHECK: &str = "\
Without an address of a peer only the file is looked at; with one it is held against the group's
limits as well.

Examples:
  quorate limits check limits.toml
  quorate --peer 127.0.0.1:7101 limits check limits.toml";

pub(crate) const LIMITS_PUT: &str = "\
All peers decide by the file from then on; a limit that is not in it is none any more.

Examples:
  quorate limits put limits.toml
  quorate limits put limits.toml --carry proportional --yes";

pub(crate) const ASK: &str = "\
What is admitted is counted, as if a caller had asked. peek asks without counting.

Exit codes: 0 admitted, 7 denied.

Examples:
  quorate ask api alice
  quorate ask api alice 5
  quorate ask api alice --json | jq .answer.remaining";

pub(crate) const PEEK: &str = "\
Exit codes: 0 it would be admitted, 7 it would be denied, now or ever.

Examples:
  quorate peek api alice
  quorate peek api alice 5";

pub(crate) const RESET: &str = "\
Examples:
  quorate reset api alice
  quorate reset api alice --yes";

pub(crate) const EXPLAIN: &str = "\
Exit codes: as peek.

Examples:
  quorate explain api alice
  quorate explain api alice 5";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  source <(quorate completions bash)
  quorate completions zsh > ~/.zfunc/_quorate
  quorate completions fish > ~/.config/fish/completions/quorate.fish";

pub(crate) const MAN: &str = "\
Examples:
  quorate man | man -l -
  quorate man force-primary > quorate-force-primary.1";
