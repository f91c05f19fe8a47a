//! A fixed window in Redis, as a service would have it today: a script, one multiplexed
//! connection.

use std::io;
use std::process::{Command, Stdio};

use redis::aio::MultiplexedConnection;
use redis::{Client, RedisResult};

use crate::child;
use crate::group::free_address;

/// Counts one check; the first of a window opens it. Answers whether it is within the limit.
const SCRIPT: &str = "\
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if count <= tonumber(ARGV[1]) then return 1 else return 0 end";

/// Whether there is a Redis server to measure against.
pub fn is_installed() -> bool {
    let version = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// Runs a Redis server without persistence on a free loopback port until the parent ends.
///
/// # Errors
///
/// If it cannot be started.
pub fn serve() -> io::Result<()> {
    let address = free_address()?;
    let mut server = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--save", "", "--appendonly", "no"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    child::say(&address.to_string())?;
    child::wait_for_parent();
    server.kill()?;
    server.wait().map(drop)
}

/// The caller's end.
#[derive(Clone)]
pub struct RedisWindow {
    connection: MultiplexedConnection,
    script: String,
    max: u64,
    window_ms: u64,
}

impl RedisWindow {
    /// Connects to the server at `address` and loads the script; waits for a server that is about
    /// to listen.
    ///
    /// # Errors
    ///
    /// If there is no server after some seconds, or it does not take the script.
    pub async fn connect(address: &str, max: u64, window_ms: u64) -> RedisResult<Self> {
        const ATTEMPTS: usize = 100;
        const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
        let client = Client::open(format!("redis://{address}"))?;
        let mut attempt = 1;
        let mut connection = loop {
            match client.get_multiplexed_async_connection().await {
                Ok(connection) => break connection,
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
            attempt += 1;
        };
        let mut load = redis::cmd("SCRIPT");
        let script = load.arg("LOAD").arg(SCRIPT).query_async(&mut connection).await?;
        Ok(Self { connection, script, max, window_ms })
    }

    /// One check; whether it was admitted.
    ///
    /// # Errors
    ///
    /// If the server does not answer.
    pub async fn acquire(&mut self, key: &[u8]) -> RedisResult<bool> {
        let mut call = redis::cmd("EVALSHA");
        call.arg(&self.script).arg(1).arg(key).arg(self.max).arg(self.window_ms);
        call.query_async(&mut self.connection).await
    }
}
