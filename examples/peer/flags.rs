//! The library names its settings by the methods that set them; whoever starts the example `peer`
//! has given flags.

/// Settings as sentences of the library name them, and the flags of this program.
const FLAGS: [(&str, &str); 12] = [
    ("`.advertise(..)`", "--advertise"),
    ("`.client()`", "--client"),
    ("`.join(..)`", "--join"),
    ("`.listen(..)`", "--listen"),
    ("`.members(..)`", "--peers"),
    ("SyncPolicy::EveryBatch", "--sync every-batch"),
    ("clients_may_change_policy()", "--clients-may-change-policy"),
    ("clients_may_remove_members()", "--clients-may-remove-members"),
    ("clients_may_switch_primary()", "--clients-may-switch-primary"),
    ("max_bytes", "--max-bytes"),
    ("max_cells", "--max-cells"),
    ("plaintext_allowed_on_network()", "--plaintext-on-network"),
];

/// A sentence about settings, with flags in the places of methods.
pub(crate) fn in_flags(sentence: &str) -> String {
    FLAGS.iter().fold(sentence.to_owned(), |said, (setting, flag)| said.replace(setting, flag))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory;
    use quorate::{Bounds, Peer, PeerBuilder, Storage, SyncPolicy};
    use quorate_ratelimit::{Limit, Limits};

    use super::*;
    use crate::Options;

    #[test]
    fn every_flag_there_is_one() {
        let command = Options::command();
        for (_, flag) in FLAGS {
            let name = flag.split(' ').next().and_then(|flag| flag.strip_prefix("--"));
            let mut flags = command.get_arguments().filter_map(|argument| argument.get_long());
            assert!(flags.any(|long| Some(long) == name), "{flag}");
        }
    }

    /// Why a peer is not started, as whoever starts this program reads it.
    async fn said(setup: impl FnOnce(PeerBuilder) -> PeerBuilder) -> String {
        let limits = Limits::builder().limit("x", Limit::per_second(1)).build().expect("usable");
        let members = [("a", "127.0.0.1:7101"), ("b", "127.0.0.1:7102")];
        let builder = Peer::builder("a", limits.model()).members(members);
        let error = setup(builder).start().await.expect_err("it breaks a rule");
        in_flags(&error.to_string())
    }

    #[tokio::test]
    async fn what_breaks_a_rule_is_named_by_its_flag() {
        let none: [&str; 0] = [];
        let nobody: [(&str, &str); 0] = [];
        let small = Bounds { max_cells: 0, max_bytes: 0, ..Bounds::default() };
        let often = SyncPolicy::Every(Duration::ZERO);
        for (flags, sentence) in [
            (&["in --advertise has no port"][..], said(|it| it.advertise("db1")).await),
            (&["in --advertise has port 0"], said(|it| it.advertise("db1:0")).await),
            (&["in --advertise stands", "by --listen"], {
                said(|it| it.advertise("0.0.0.0:7101")).await
            }),
            (&["in --listen has port 0"], said(|it| it.listen("127.0.0.1:0")).await),
            (&["of b in --peers has port 0"], {
                said(|it| it.members([("a", "127.0.0.1:1"), ("b", "b.example:0")])).await
            }),
            (&["of b in --peers has no port"], {
                said(|it| it.members([("a", "127.0.0.1:1"), ("b", "b.example")])).await
            }),
            (&["in --join has no port"], said(|it| it.members(nobody).join(["db1"])).await),
            (&["by --join"], said(|it| it.members(nobody).join(none)).await),
            (&["name them by --peers"], said(|it| it.members(nobody)).await),
            (&["by --advertise"], {
                let join = |it: PeerBuilder| it.members(nobody).join(["127.0.0.1:1"]);
                said(|it| join(it).listen("0.0.0.0:7104")).await
            }),
            (&["by --listen"], said(|it| it.members(nobody).join(["127.0.0.1:1"])).await),
            (&["b has no address in --peers"], {
                said(|it| it.members([("a", "127.0.0.1:1"), ("b", "")])).await
            }),
            (&["a --max-cells of 0", "a --max-bytes of 0"], said(|it| it.bounds(small)).await),
            (&["or --sync every-batch"], {
                said(|it| it.storage(Storage::Disk { dir: "x".into(), sync: often })).await
            }),
            (&["in --peers", "by --client"], said(|it| it.client()).await),
            (&["in --peers", "by --join"], {
                said(|it| it.join(["127.0.0.1:1"]).listen("127.0.0.1:7101")).await
            }),
            (&["by --plaintext-on-network"], said(|it| it.listen("0.0.0.0:7101")).await),
        ] {
            for flag in flags {
                assert!(sentence.contains(flag), "{flag}: {sentence}");
            }
            assert!(!sentence.contains("`."), "{sentence}");
        }
    }
}
