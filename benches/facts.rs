//! What the machine was like during a measurement: without it a number says nothing.

use std::fs;
use std::thread::available_parallelism;

/// One line about the machine and how busy it was when the line was made.
pub fn machine() -> String {
    let cores = available_parallelism().map_or(0, usize::from);
    let model = line_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".into());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    let kernel = kernel.trim();
    format!("{cores} cores, {model}, kernel {kernel}, load {load} (1, 5, 15 min)")
}

fn line_of(path: &str, field: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}
