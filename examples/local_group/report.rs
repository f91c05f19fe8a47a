//! What came of a run of `local_group`, for people and for programs.

use std::fmt;
use std::time::Duration;

use quorate_examples::ledger::{Finding, Ledger};
use serde_json::{Value, json};

use crate::peer::Digest;

/// The result.
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    pub(crate) ledger: Ledger,
    pub(crate) failure_timeout: Duration,
    pub(crate) old_primary: String,
    pub(crate) new_primary: String,
    /// Decisions a second before the kill, and after the failover.
    pub(crate) per_second_before: u64,
    pub(crate) per_second_after: u64,
    /// Calls refused because there was no primary.
    pub(crate) refused: u64,
    /// Decisions that peers made alone.
    pub(crate) local: u64,
}

impl Report {
    /// Whether everything was proved.
    pub(crate) fn holds(&self) -> bool {
        holds(&self.findings)
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let without_primary = self.ledger.time_without_primary();
        json!({
            "holds": self.holds(),
            "proof": proof(&self.findings),
            "old_primary": self.old_primary,
            "new_primary": self.new_primary,
            "seconds_without_primary": without_primary.map(|gap| gap.as_secs_f64()),
            "decisions": self.ledger.entries().len(),
            "decisions_per_second": {
                "before": self.per_second_before,
                "after": self.per_second_after,
            },
            "acknowledged_units": self.ledger.acknowledged_units(),
            "unknown_units": self.ledger.unknown_units(),
            "refused_calls": self.refused,
            "local_decisions": self.local,
        })
    }
}

/// For people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        verdicts(&self.findings, f)?;
        let without_primary = self.ledger.time_without_primary().unwrap_or_default();
        writeln!(
            f,
            "\n  without a primary for {:.2} s; the failure timeout of {:?} runs from the last \
             heartbeat\n  meanwhile {} calls were refused, {} decided alone, {} units are of \
             unknown outcome",
            without_primary.as_secs_f64(),
            self.failure_timeout,
            self.refused,
            self.local,
            self.ledger.unknown_units(),
        )?;
        writeln!(
            f,
            "  {} decisions: {} a second before the kill, {} a second after the failover",
            self.ledger.entries().len(),
            self.per_second_before,
            self.per_second_after,
        )?;
        write!(
            f,
            "\n  try next: --acknowledge primary, --relaxed, --failure-timeout 500ms, --peers 5"
        )
    }
}

/// Whether everything was proved.
pub(crate) fn holds(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.holds)
}

/// What was to be proved, for programs.
pub(crate) fn proof(findings: &[Finding]) -> Vec<Value> {
    let proof = findings.iter().map(|finding| {
        json!({ "claim": finding.claim, "holds": finding.holds, "detail": finding.detail })
    });
    proof.collect()
}

/// What was to be proved, for people.
pub(crate) fn verdicts(findings: &[Finding], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f)?;
    for Finding { claim, holds, detail } in findings {
        let verdict = if *holds { "proved" } else { "BROKEN" };
        writeln!(f, "  {verdict}  {claim}: {detail}")?;
    }
    Ok(())
}

/// Whether peers hold equal cells, by their digests if they came to one position.
pub(crate) fn equal_cells(
    claim: &'static str,
    digests: Option<Vec<Digest>>,
    detail: impl FnOnce(&Digest) -> String,
) -> Finding {
    let Some(digests) = digests else {
        let detail = "they did not come to one position".to_owned();
        return Finding { claim, holds: false, detail };
    };
    let holds = digests.iter().all(|digest| *digest == digests[0]);
    Finding { claim, holds, detail: detail(&digests[0]) }
}
