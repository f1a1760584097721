//! What a command came to.

use serde::Serialize;

use super::command::BadCommand;

/// One line of standard output. What does not belong to the command is left out.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Sockets that have joined.
    pub sockets: usize,
    /// Sockets that the server closed, since the start.
    pub lost: usize,
    /// Answers or deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<usize>,
    /// What it took: from the first sending to the last receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Processor time of this process.
    pub cpu_us: f64,
    /// Latencies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<f64>,
    /// 99 of 100 are not longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<f64>,
    /// The longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_us: Option<f64>,
    /// Why it did not do what it was asked to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Report {
    /// The answer to what is no command.
    pub fn refused(error: &BadCommand) -> Self {
        Report { error: Some(error.to_string()), ..Report::default() }
    }

    /// Fills in the latencies; they come in nanoseconds.
    pub(super) fn with_latencies(mut self, mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        self.messages = Some(times.len());
        if let Some(last) = times.len().checked_sub(1) {
            let percentile =
                |percent: usize| Some(times[(times.len() * percent / 100).min(last)] as f64 / 1e3);
            (self.p50_us, self.p99_us, self.max_us) = (percentile(50), percentile(99), percentile(100));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let report = Report::default().with_latencies((1..=1000).rev().map(|us| us * 1000).collect());
        assert_eq!(report.messages, Some(1000));
        assert_eq!((report.p50_us, report.p99_us, report.max_us), (Some(501.0), Some(991.0), Some(1000.0)));
        assert_eq!(Report::default().with_latencies(Vec::new()).p50_us, None);
    }
}
