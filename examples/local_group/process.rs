//! A peer's process, as the parent holds it: start, orders, notices, SIGKILL.

use std::io;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

use crate::peer::{Notice, Settings};

/// The hidden subcommand by which this program runs a peer.
pub(crate) const SUBCOMMAND: &str = "peer-process";

/// A notice and the process that it came from.
pub(crate) struct News {
    /// Index of the peer.
    pub(crate) peer: usize,
    pub(crate) pid: u32,
    /// `None` if it has ended.
    pub(crate) notice: Option<Notice>,
}

/// A running peer. It ends with this handle: by SIGKILL at the drop, or, if this process dies
/// first, because its standard input ends.
pub(crate) struct Process {
    child: Child,
    orders: ChildStdin,
    pid: u32,
}

impl Process {
    /// Starts this program anew as peer number `peer`; its notices come as news.
    pub(crate) fn start(
        peer: usize,
        settings: &Settings,
        news: mpsc::Sender<News>,
    ) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(SUBCOMMAND)
            .arg(serde_json::to_string(settings)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let gone = || io::Error::other("the process ended at once");
        let pid = child.id().ok_or_else(gone)?;
        let orders = child.stdin.take().ok_or_else(gone)?;
        let notices = child.stdout.take().ok_or_else(gone)?;
        tokio::spawn(pass_on(notices, peer, pid, news));
        Ok(Self { child, orders, pid })
    }

    /// Number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Ends the process at once: SIGKILL, so that it can tell nobody.
    pub(crate) async fn kill(mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Gives an order, one line.
    pub(crate) async fn order(&mut self, order: &str) -> io::Result<()> {
        self.orders.write_all(format!("{order}\n").as_bytes()).await
    }
}

async fn pass_on(notices: ChildStdout, peer: usize, pid: u32, news: mpsc::Sender<News>) {
    let mut lines = BufReader::new(notices).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(notice) = serde_json::from_str(&line) else {
            continue;
        };
        if news.send(News { peer, pid, notice: Some(notice) }).await.is_err() {
            return;
        }
    }
    // Nobody listens once the run is over.
    news.send(News { peer, pid, notice: None }).await.unwrap_or_default();
}
