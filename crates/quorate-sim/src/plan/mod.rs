//! The plan of a seed: group, network, clients and faults, all drawn at the start.

pub(crate) mod disk;
pub(crate) mod fault;
pub(crate) mod limits;
pub(crate) mod load;
pub(crate) mod profile;
pub(crate) mod trigger;

use std::time::Duration;

use quorate::{
    Acknowledge, Bounds, GroupConfig, Mode, Monitor, NewGenerations, OnReconnect, PeerName, Site,
};

use crate::base::random::Random;
use crate::network::style::Style;
use crate::plan::disk::DiskPlan;
use crate::plan::fault::Fault;
use crate::plan::limits::RealPlan;
use crate::plan::load::Load;
use crate::plan::profile::Profile;
use crate::plan::trigger::Trigger;

/// Everything that is decided before a run starts.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) group: GroupConfig,
    /// The number of peers that found the group; the others join later.
    pub(crate) founders: usize,
    /// The last peers, so many of them, stand at another site, which follows; none if there is one
    /// site.
    pub(crate) standby: usize,
    /// Whether operators have the sites change places.
    pub(crate) moves_sites: bool,
    /// Peers of kind client: they follow those that may be members, in the order of peers.
    pub(crate) client_peers: usize,
    pub(crate) priorities: Vec<u8>,
    pub(crate) bounds: Bounds,
    pub(crate) verify_interval: Duration,
    pub(crate) style: Style,
    pub(crate) load: Load,
    pub(crate) faults: FaultPlan,
    pub(crate) clocks: Vec<(i64, i64)>,
    /// Keys of one merge at most. A small one splits what was decided together.
    pub(crate) merge_keys: usize,
    /// The real limits, in runs that ask them.
    pub(crate) real: RealPlan,
    /// Storage on disks, if the group uses them.
    pub(crate) disk: Option<DiskPlan>,
    /// The condition under which members take part in a new generation.
    pub(crate) new_generations: NewGenerations,
    /// How primaries look after the members.
    pub(crate) monitor: Option<Monitor>,
    /// Mean time in which a peer in memory saves what it remembers, if it remembers anything.
    pub(crate) remembers: Option<Duration>,
    /// Every message is encoded and decoded on its way.
    pub(crate) is_wired: bool,
}

impl Plan {
    /// Draws the plan of a seed.
    pub(crate) fn draw(seed: u64, wish: Wish) -> Self {
        let mut random = Random::new(seed);
        // Drawn in any case: a wish moves no later draw.
        let drawn_peers = random.pick(&[3, 3, 3, 3, 3, 5, 5, 5, 4, 7]);
        let drawn_profile = Profile::draw(&mut random);
        let peers = wish.peers.unwrap_or(drawn_peers);
        let profile = wish.profile.unwrap_or(drawn_profile);
        let timeout = random.pick(&[SECOND * 10, SECOND * 10, SECOND * 10, SECOND, SECOND / 10]);
        let group = draw_group(&mut random, peers, timeout);
        let priorities = draw_priorities(&mut random, peers);
        let mut plan = Self {
            seed,
            founders: peers,
            standby: 0,
            moves_sites: false,
            client_peers: 0,
            priorities,
            bounds: draw_limits(&mut random),
            style: Style::draw(&mut random, timeout),
            load: Load::draw(&mut random, timeout),
            faults: FaultPlan::draw(&mut random, profile, timeout),
            clocks: draw_clocks(&mut random, peers, profile),
            merge_keys: random.pick(&[4, 1_000]),
            is_wired: random.chance(100),
            verify_interval: random.pick(&[timeout / 4, timeout * 3]),
            real: RealPlan::default(),
            disk: random.chance(500).then(|| DiskPlan::draw(&mut random, peers, timeout)),
            new_generations: NewGenerations::Automatic,
            monitor: None,
            remembers: None,
            group,
        };
        plan.draw_members(&mut random, profile);
        plan.draw_edges(&mut Random::new(seed ^ 0x6564_6765));
        plan.draw_waiting(&mut Random::new(seed ^ 0x7761_6974));
        plan.draw_clients(&mut Random::new(seed ^ 0x636c_6965));
        plan.draw_generations(&mut Random::new(seed ^ 0x6765_6e65));
        plan.draw_sites(&mut Random::new(seed ^ 0x7369_7465), profile);
        plan.draw_upkeep(&mut Random::new(seed ^ 0x7570_6b65), profile);
        plan.real = RealPlan::draw(&plan);
        if profile == Profile::Lasting {
            plan.new_generations = NewGenerations::Automatic;
            plan.remembers = None;
            plan.make_lasting();
        }
        plan
    }

    /// Loads at the edge of what a store holds. Of a sequence of its own: the rest of a seed stays
    /// what it was.
    fn draw_edges(&mut self, random: &mut Random) {
        self.load.large = random.pick(&[0, 0, 50, 300]);
        let are_members_fixed = self.faults.weights.iter().all(|(fault, _)| *fault != Fault::Join);
        if random.chance(150) && are_members_fixed {
            self.draw_few_candidates(random);
        }
        // As many as may be asked to agree: a majority of those who found the group.
        let most = self.founders / 2 + 1;
        if random.chance(500) {
            self.group.agreement = 1 + random.index(most);
        }
        if random.chance(150) {
            let timeout = self.timeout();
            self.group.mode = Mode::Strict;
            self.load.is_expiring = true;
            self.load.keys = random.pick(&[3, 8]);
            self.load.window = random.pick(&[timeout / 2, timeout * 2]);
            self.bounds.max_cells = random.pick(&[2, 4, 12]);
        }
    }

    /// Few places for calls that wait, in one run of eight. Of a sequence of its own: the rest of a
    /// seed stays what it was.
    fn draw_waiting(&mut self, random: &mut Random) {
        if random.chance(125) {
            self.bounds.max_waiting_calls = random.pick(&[10, 12, 16]);
        }
    }

    /// Peers that link to the others as clients, in one run of four. Of a sequence of its own: the
    /// rest of a seed stays what it was.
    fn draw_clients(&mut self, random: &mut Random) {
        if !random.chance(250) {
            return;
        }
        self.client_peers = random.pick(&[1, 1, 2]);
        for _ in 0..self.client_peers {
            let drift = random.pick(&[0, 200, -200, 20_000, -20_000]);
            let offset = random.pick(&[0, 5_000_000, -5_000_000, 2_000_000_000, -2_000_000_000]);
            self.clocks.push((drift, offset));
        }
    }

    /// Members that wait for each other before they begin a new generation, in one run of five, and
    /// such that remember how far they may have acknowledged, in two of five in memory. Not
    /// where somebody may be gone for good. Of a sequence of its own: the rest of a seed stays what
    /// it was.
    fn draw_generations(&mut self, random: &mut Random) {
        let may_join = self.faults.weights.iter().any(|(fault, _)| *fault == Fault::Join);
        let stay = self.founders == self.peers() && !may_join;
        if random.chance(200) && stay {
            self.new_generations = NewGenerations::WhenComplete;
        }
        if random.chance(400) && stay && self.disk.is_none() {
            self.remembers = Some(self.timeout() / random.pick(&[5_000, 1_000, 200]));
        }
    }

    /// Two sites: up to three peers follow. Of a sequence of its own: the rest of a seed stays what
    /// it was.
    fn draw_sites(&mut self, random: &mut Random, profile: Profile) {
        if profile != Profile::Sites {
            return;
        }
        self.standby = random.between(1, 3) as usize;
        self.moves_sites = random.chance(700);
        let own = self.peers();
        self.group.members = names(own + self.standby);
        self.founders = own;
        // As many as may be counted out do not come back: nobody founds the site again.
        self.faults.is_careful = true;
        self.new_generations = NewGenerations::Automatic;
        self.remembers = None;
        for _ in 0..self.standby {
            self.priorities.push(100);
            self.clocks.insert(own, (0, 0));
        }
        if let Some(disk) = &mut self.disk {
            disk.widen(self.standby);
        }
    }

    /// Primaries that look after the members, where these come and go by themselves, and in one run
    /// of three where somebody asks them to. Of a sequence of its own: the rest of a seed stays
    /// what it was.
    fn draw_upkeep(&mut self, random: &mut Random, profile: Profile) {
        let is_wanted = match profile {
            Profile::Upkeep => true,
            Profile::Members => random.chance(333),
            _ => false,
        };
        if !is_wanted {
            return;
        }
        if profile == Profile::Upkeep {
            self.founders = self.founders.min(self.peers() - 1).max(3);
        }
        let grace = self.timeout() * random.pick(&[1, 2, 4]);
        let millis = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let grace = Duration::from_millis(millis);
        self.monitor = Some(Monitor::new(self.founders).grace(grace));
        self.faults.phase *= 2;
    }

    /// A minority may not be promoted, and copies take many pieces, one at a time.
    fn draw_few_candidates(&mut self, random: &mut Random) {
        let most = (self.founders - 1) / 2;
        let mut order: Vec<usize> = (0..self.founders).collect();
        random.shuffle(&mut order);
        order.truncate(random.index(most + 1));
        for (peer, priority) in self.priorities.iter_mut().enumerate() {
            *priority = if order.contains(&peer) { 0 } else { (*priority).max(1) };
        }
        self.bounds.max_piece_bytes = 100;
        self.bounds.transfer_window = 1;
    }

    /// Draws whether members come and go. A blank majority with an old list may found beside a
    /// group that lives: lists are kept in step, and a majority keeps its data.
    fn draw_members(&mut self, random: &mut Random, profile: Profile) {
        let is_mixed = profile == Profile::Mixed && random.chance(300);
        let come_and_go = [Profile::LyingOperators, Profile::Members, Profile::Upkeep];
        if !is_mixed && !come_and_go.contains(&profile) {
            return;
        }
        self.founders = random.pick(&[3, 3, self.peers()]).min(self.peers());
        self.faults.is_careful = true;
        self.group.agreement = self.group.agreement.min(self.founders);
        self.priorities.iter_mut().for_each(|priority| *priority = (*priority).max(1));
        if is_mixed {
            self.faults.weights.extend(MEMBER_FAULTS);
        }
    }

    /// A plan without any chance in it, for scenarios: three peers, ten seconds, a quiet network.
    pub(crate) fn quiet(peers: usize) -> Self {
        let timeout = SECOND * 10;
        Self {
            seed: 1,
            founders: peers,
            standby: 0,
            moves_sites: false,
            client_peers: 0,
            group: GroupConfig {
                members: names(peers),
                acknowledge: Acknowledge::Majority,
                ..GroupConfig::default()
            },
            priorities: vec![100; peers],
            bounds: Bounds { shards: 4, ..Bounds::default() },
            verify_interval: timeout,
            style: Style::quiet(timeout),
            load: Load {
                clients: 0,
                think: SECOND,
                burst: 0,
                large: 0,
                is_expiring: false,
                keys: 4,
                limit: 1_000_000,
                window: Duration::from_secs(3600),
            },
            faults: FaultPlan {
                phase: Duration::ZERO,
                gap: SECOND,
                weights: Vec::new(),
                triggers: Vec::new(),
                is_careful: true,
                is_lasting: false,
            },
            clocks: vec![(0, 0); peers],
            merge_keys: 1_000,
            real: RealPlan::default(),
            disk: None,
            new_generations: NewGenerations::Automatic,
            monitor: None,
            remembers: None,
            is_wired: false,
        }
    }

    pub(crate) fn peers(&self) -> usize {
        self.group.members.len()
    }

    /// All peers, clients included.
    pub(crate) fn hosts(&self) -> usize {
        self.peers() + self.client_peers
    }

    /// The name of a peer, which may be a client.
    pub(crate) fn name(&self, peer: usize) -> PeerName {
        name(peer)
    }

    pub(crate) fn majority(&self) -> usize {
        (self.peers() - self.standby) / 2 + 1
    }

    /// Returns true if the peers stand at two sites.
    pub(crate) fn has_sites(&self) -> bool {
        self.standby > 0
    }

    /// Returns true if a peer stands at the site that follows.
    pub(crate) fn is_standby(&self, peer: usize) -> bool {
        (self.peers() - self.standby..self.peers()).contains(&peer)
    }

    /// The site of a peer, if there are two.
    pub(crate) fn site(&self, peer: usize) -> Option<Site> {
        let (own, other) = if self.is_standby(peer) { ("west", "east") } else { ("east", "west") };
        let nobody: [&str; 0] = [];
        let is_at_one = self.has_sites() && peer < self.peers();
        is_at_one.then(|| Site::new(own).other(other, nobody))
    }

    /// Returns true if its callers ask the real limits too.
    pub(crate) fn asks_real_limits(&self) -> bool {
        /// One in so many seeds does.
        const SEEDS: u64 = 5;
        self.seed % SEEDS == 1 && !self.load.is_expiring
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.group.failure_timeout
    }
}

/// The faults of a run, and how often they come.
#[derive(Clone, Debug)]
pub(crate) struct FaultPlan {
    /// The time for which faults go on; then all is healed and must come to rest.
    pub(crate) phase: Duration,
    /// Mean time between two faults.
    pub(crate) gap: Duration,
    pub(crate) weights: Vec<(Fault, u64)>,
    pub(crate) triggers: Vec<Trigger>,
    /// A majority of the members keeps its data: no kill that would leave fewer.
    pub(crate) is_careful: bool,
    /// Faults that last, instead of those that are drawn.
    pub(crate) is_lasting: bool,
}

impl FaultPlan {
    fn draw(random: &mut Random, profile: Profile, timeout: Duration) -> Self {
        let phase = timeout * u32::try_from(random.between(4, 14)).unwrap_or(4);
        let gap = match random.index(4) {
            0 => timeout / 3,
            1 => timeout * 3,
            _ => timeout,
        };
        let triggers = Trigger::draw(random, profile);
        let is_careful = random.chance(750);
        Self { phase, gap, weights: profile.weights(), triggers, is_careful, is_lasting: false }
    }
}

/// The part of a plan that the command line fixes; the rest is drawn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) peers: Option<usize>,
    pub(crate) profile: Option<Profile>,
}

const MEMBER_FAULTS: [(Fault, u64); 4] =
    [(Fault::Join, 2), (Fault::Leave, 2), (Fault::Forget, 1), (Fault::Priority, 1)];

const SECOND: Duration = Duration::from_secs(1);

impl Plan {
    /// A network without chance in it, and no faults but those that last.
    pub(crate) fn make_lasting(&mut self) {
        let timeout = self.timeout();
        self.faults.is_lasting = true;
        self.faults.phase = timeout * 8;
        self.faults.triggers.clear();
        let delay = (timeout / 100_000, timeout / 5_000);
        self.style = Style { delay, ..Style::quiet(timeout) };
        if let Some(disk) = &mut self.disk {
            disk.stalls = 0;
            disk.delays.fill(timeout / 5_000);
        }
    }
}

fn names(peers: usize) -> Vec<PeerName> {
    (0..peers).map(name).collect()
}

fn name(peer: usize) -> PeerName {
    PeerName::from(peer_letter(peer).to_string())
}

/// The name of the peer with this index: a, b, c, ..
pub(crate) fn peer_letter(peer: usize) -> char {
    u8::try_from(peer).map_or('-', |index| char::from(b'a' + index))
}

fn draw_group(random: &mut Random, peers: usize, timeout: Duration) -> GroupConfig {
    let mode = if random.chance(250) { Mode::Relaxed } else { Mode::Strict };
    let on_reconnect = if random.chance(300) { OnReconnect::Overwrite } else { OnReconnect::Merge };
    let acknowledge = if random.chance(650) { Acknowledge::Majority } else { Acknowledge::Primary };
    GroupConfig {
        group: "sim".into(),
        members: names(peers),
        mode,
        on_reconnect,
        acknowledge,
        heartbeat: timeout / random.pick(&[10, 10, 10, 20, 5, 4]),
        failure_timeout: timeout,
        agreement: random.pick(&[2, 2, 2, 1]),
        io_timeout: timeout * 3 / random.pick(&[1, 1, 3, 10]),
        max_unreplicated: random.pick(&[100_000, 10, 40]),
        replication_interval: timeout / random.pick(&[10_000, 100, 20]),
        ..GroupConfig::default()
    }
}

/// Mostly all alike, as is the default; else any order, and sometimes peers that never stand.
fn draw_priorities(random: &mut Random, peers: usize) -> Vec<u8> {
    if random.chance(400) {
        return vec![100; peers];
    }
    let mut priorities: Vec<u8> = (0..peers).map(|_| random.pick(&[1, 2, 3, 100])).collect();
    let zeros = if random.chance(300) { random.index(peers.div_ceil(2)) } else { 0 };
    priorities[..zeros].fill(0);
    random.shuffle(&mut priorities);
    priorities
}

/// Small bounds in most runs, so that pieces, loose copies and repairs that are too long happen.
fn draw_limits(random: &mut Random) -> Bounds {
    let default = Bounds { shards: random.pick(&[1, 2, 4]), ..Bounds::default() };
    if random.chance(300) {
        return default;
    }
    Bounds {
        max_piece_bytes: random.pick(&[100, 256, 1024]),
        transfer_window: random.pick(&[1, 2, 8]),
        max_cut_bytes: random.pick(&[200, 600, 1 << 20]),
        max_repair_keys: random.pick(&[2, 8, 1000]),
        max_overlay_keys: random.pick(&[4, 1000]),
        ..default
    }
}

/// Drift in parts per million and the offset of the wall clock in nanoseconds, per peer.
fn draw_clocks(random: &mut Random, peers: usize, profile: Profile) -> Vec<(i64, i64)> {
    let (drift, offset) = match profile {
        Profile::Clocks => (20_000, 3_600_000_000_000),
        _ => (random.pick(&[0, 200, 20_000]), random.pick(&[0, 5_000_000, 2_000_000_000])),
    };
    (0..peers).map(|_| (draw_within(random, drift), draw_within(random, offset))).collect()
}

/// From so much below zero to so much above it.
fn draw_within(random: &mut Random, bound: u64) -> i64 {
    let drawn = random.between(0, 2 * bound).cast_signed();
    drawn - bound.cast_signed()
}
