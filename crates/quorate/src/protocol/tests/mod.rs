//! The protocol in directed schedules; the simulator goes where these do not.

mod anew;
mod any_message;
mod clocks;
mod credence;
mod expiry;
mod failover;
mod following;
mod founding;
mod group;
mod hand_over;
mod lasting;
mod membership;
mod policy;
mod promotion;
mod sites;
mod standstill;
mod storage;
mod switching;
mod upkeep;
