//! Look-ups of names, one at a time for whoever dials.
//!
//! A resolver that hangs is not waited for beyond a try. But a look-up that is given up does not
//! end: over TCP it holds a thread of the runtime's pool until the system's resolver gives up too.
//! Were one begun at every try, they would take the pool, and with it what else runs there.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::transport::Transport;

/// Look-ups of one lane to one peer, or of one contact.
#[derive(Debug, Default)]
pub(in crate::driver) struct Lookup {
    /// At most one, which may be of an earlier try; with the address that is looked up.
    under_way: JoinSet<(String, io::Result<Vec<String>>)>,
}

impl Lookup {
    /// The places where an address leads. If an earlier look-up has not ended it is waited for, and
    /// no other is begun before: of the same address, its answer is taken.
    ///
    /// # Errors
    ///
    /// If the name cannot be looked up, or not within `waited`.
    ///
    /// # Cancel safety
    ///
    /// What is under way goes on, and is waited for next time.
    pub(in crate::driver) async fn places(
        &mut self,
        transport: &Arc<dyn Transport>,
        address: &str,
        waited: Duration,
    ) -> io::Result<Vec<String>> {
        let deadline = Instant::now() + waited;
        loop {
            if self.under_way.is_empty() {
                let (transport, address) = (transport.clone(), address.to_owned());
                self.under_way.spawn(async move {
                    let found = transport.resolve(&address).await;
                    (address, found)
                });
            }
            match timeout_at(deadline, self.under_way.join_next()).await {
                Ok(Some(Ok((of, found)))) if of == address => return found,
                Ok(Some(Err(error))) => return Err(io::Error::other(error)),
                // Of another address, where this one was looked for before.
                Ok(_) => {}
                Err(_) => {
                    let said = format!("no answer within {waited:?}");
                    return Err(io::Error::new(io::ErrorKind::TimedOut, said));
                }
            }
        }
    }
}
