//! The unit for systemd and the file for compose.

use quorate_examples::arguments;

use super::*;

/// The value of a key in a unit or a file of variables, lines that go on joined; the last one.
fn value(unit: &str, key: &str) -> Option<String> {
    let joined = unit.replace("\\\n", " ");
    let mut lines = joined.lines().filter_map(|line| line.trim().split_once('='));
    lines.rfind(|(found, _)| *found == key).map(|(_, value)| value.trim().to_owned())
}

fn of(unit: &str, key: &str) -> String {
    value(unit, key).unwrap_or_else(|| panic!("no {key}"))
}

/// The command of the unit, as the instance of that name starts it.
fn command(unit: &str, instance: &str) -> Vec<String> {
    let variables = file("systemd/quorate.env");
    let words = of(unit, "ExecStart").replace("%i", instance);
    let words = words.split_whitespace().skip(1).map(|word| {
        match word.strip_prefix("${").and_then(|word| word.strip_suffix('}')) {
            Some(variable) => of(&variables, variable),
            None => word.to_owned(),
        }
    });
    words.collect()
}

#[test]
fn the_unit_starts_a_member_of_every_name_and_gives_it_time_to_end() {
    let unit = file("systemd/quorate@.service");
    for name in ["a", "b", "c"] {
        let arguments = command(&unit, name);
        let options = options(&arguments);
        check_founders(&options);
        assert_eq!(options.name, name);
        assert!(!arguments.iter().any(|argument| argument.contains(['$', '%'])), "{arguments:?}");
        let seconds: u64 = of(&unit, "TimeoutStopSec").parse().expect("seconds");
        assert!(Duration::from_secs(seconds) >= time_to_end(&options));
        let dir = options.data_dir.as_deref().expect("it is on disk");
        let state = format!("/var/lib/{}", of(&unit, "StateDirectory").replace("%i", name));
        assert_eq!(dir, Path::new(&state), "systemd makes the directory");
        // SIGHUP ends a peer that has no certificates to read again.
        let has_tls = arguments.iter().any(|argument| argument == "--tls-cert");
        assert_eq!(value(&unit, "ExecReload").is_some(), has_tls);
        assert!(!options.leave_on_stop);
    }
    assert_eq!(of(&unit, "KillSignal"), "SIGTERM");
}

#[test]
fn compose_starts_three_members_that_know_each_other() {
    let compose = documents(&file("compose/compose.yml")).remove(0);
    let services = compose["services"].as_hash().expect("services");
    let mut published = Vec::new();
    for (name, service) in services {
        let name = name.as_str().expect("a name");
        check_image(text(service, "image"));
        let arguments = texts(service, "command");
        let options = options(&arguments);
        check_founders(&options);
        assert_eq!((options.name.as_str(), options.peers.len()), (name, services.len()));
        for (peer, address) in &options.peers {
            assert_eq!(host(address), peer, "a service is found by its name");
            assert_eq!(port(address), port(listens(&options)));
        }
        let grace = arguments::duration(text(service, "stop_grace_period")).expect("a time");
        assert!(grace >= time_to_end(&options), "{name}");
        let ports = texts(service, "ports");
        for port_map in &ports {
            let (outside, inside) = port_map.rsplit_once(':').expect("OUTSIDE:INSIDE");
            assert!(outside.starts_with("127.0.0.1:"), "{outside} is open to the network");
            published.push(outside.to_owned());
            let admin = arguments.iter().find_map(|it| it.strip_prefix("--admin-http="));
            let served = [options.http.http.as_str(), admin.expect("it is given")].map(port);
            assert!(served.contains(&inside.parse().expect("a port")), "{port_map}");
        }
        let volumes = texts(service, "volumes");
        let (volume, place) = volumes[0].split_once(':').expect("VOLUME:PLACE");
        assert!(!compose["volumes"][volume].is_badvalue(), "{volume}");
        assert_eq!(volume, name, "each has files of its own");
        assert!(options.data_dir.expect("it is on disk").starts_with(place));
    }
    let count = published.len();
    published.sort();
    published.dedup();
    assert_eq!((services.len(), published.len()), (3, count));
}
