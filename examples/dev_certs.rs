//! A CA and certificates to try TLS with: `cargo run --example dev_certs -- DIR a b c`.
//!
//! Writes `ca.pem`, and for each peer `NAME.pem` and `NAME.key`; with `--client NAME` for a client
//! as well, which can be no member with it. There are always `admin.pem` and `viewer.pem` beside
//! them, with which no peer runs: with the first somebody called `admin` gives peers orders over
//! their admin lane, and with the second `viewer` looks at them. Run it again with other names for
//! more certificates of the same CA, or with the same names to renew them. For trying only: whoever
//! can read `ca.key` can be any peer.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use quorate_examples::certificates;

/// Makes a CA and certificates for trying TLS between peers.
#[derive(Parser)]
struct Options {
    /// Folder for the files; made if it is not there.
    dir: PathBuf,
    /// Names of the peers.
    #[arg(required_unless_present = "client", value_parser = name)]
    names: Vec<String>,
    /// Name of a client; several may be given.
    #[arg(long, value_name = "NAME", value_parser = name)]
    client: Vec<String>,
}

/// Names that are no peer's: those of other files, and of other places.
const TAKEN: [&str; 6] = ["", ".", "..", "ca", certificates::ADMIN, certificates::VIEWER];

/// Names that are names of peers and of files.
fn name(text: &str) -> Result<String, String> {
    let is_usable = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    match text.bytes().all(is_usable) && !TAKEN.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err("write letters, digits, - _ . and not ca, admin or viewer".to_owned()),
    }
}

fn main() -> ExitCode {
    let Options { dir, names, client } = Options::parse();
    let made = certificates::make(&dir, &names);
    let made = made.and_then(|()| certificates::make_for_clients(&dir, &client));
    let made = made.and_then(|()| certificates::make_for_operators(&dir));
    if let Err(error) = made {
        eprintln!("dev_certs: {}: {error}", dir.display());
        return ExitCode::FAILURE;
    }
    let operators = [certificates::ADMIN, certificates::VIEWER].map(str::to_owned);
    for name in names.into_iter().chain(client).chain(operators) {
        let [ca, certificate, key] = certificates::files(&dir, &name);
        let [ca, certificate, key] = [ca.display(), certificate.display(), key.display()];
        println!("{name}: --tls-ca {ca} --tls-cert {certificate} --tls-key {key}");
    }
    ExitCode::SUCCESS
}
