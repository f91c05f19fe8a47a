//! What the rooms of this crate may use: docs/architecture.md, "The rooms of quorate-ratelimit".

use std::fs;
use std::path::Path;

/// Each room, and those that it may use beside itself.
const ROOMS: [(&str, &[&str]); 5] = [
    ("limit", &[]),
    ("rule", &["limit"]),
    ("model", &["limit", "rule"]),
    ("numbers", &[]),
    ("limiter", &["limit", "rule", "model", "numbers"]),
];

#[test]
fn a_room_uses_none_but_those_below_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let map = fs::read_to_string(src.join("../../../docs/architecture.md")).expect("the map");
    for (room, below) in ROOMS {
        for file in fs::read_dir(src.join(room)).expect("a room") {
            let path = file.expect("a file of it").path();
            let text = fs::read_to_string(&path).expect("text");
            // Tests may look anywhere.
            let code = text.split("mod tests {").next().unwrap_or_default();
            for (other, _) in ROOMS {
                let is_used = code.contains(&format!("crate::{other}::"));
                let is_free = other == room || below.contains(&other);
                assert!(is_free || !is_used, "{} uses {other}", path.display());
            }
            let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
            assert!(map.contains(&format!("| `{name}` |")), "{name} is not in the map");
        }
    }
}
