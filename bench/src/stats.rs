//! Figures of single runs, and what becomes of them over the rounds. Pure.

use std::fmt;

use serde::Serialize;

/// Which of the two that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The product.
    Pod,
    /// What it is measured against.
    Peer,
}

impl Side {
    /// Both, in the order they take turns.
    pub const BOTH: [Self; 2] = [Self::Pod, Self::Peer];
}

/// A figure that can be read off a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Measure {
    /// Verified events that reached the client, in a second.
    EventsPerSecond,
    /// CPU time of the server for each of them, in microseconds.
    CpuMicros,
    /// CPU time of the Redis for each of them, in microseconds.
    RedisMicros,
    /// Half of the events came at most so many milliseconds after they were made.
    LatencyP50,
    /// And 99 of 100 of them.
    LatencyP99,
    /// Half of the events were read at most so many milliseconds after they were due.
    DeliveryP50,
    /// And 99 of 100 of them.
    DeliveryP99,
    /// And 999 of 1,000 of them.
    DeliveryP999,
    /// 99 of 100 were handed over at most so many milliseconds after they were due.
    EmitP99,
    /// Bytes of SSE for each of them: a check that both sides say the same.
    EventBytes,
    /// Memory of the server for each open stream, in kilobytes (1,000 bytes).
    StreamKilobytes,
    /// How much of the machine was idle, in percent.
    IdlePercent,
    /// How much of it worked for others at low priority, in percent.
    NicedPercent,
    /// How much of it the host gave to other machines, in percent.
    StolenPercent,
}

impl Measure {
    /// With its unit.
    pub fn title(self) -> &'static str {
        match self {
            Self::EventsPerSecond => "events/s",
            Self::CpuMicros => "CPU µs/event",
            Self::RedisMicros => "Redis CPU µs/event",
            Self::LatencyP50 => "latency p50, ms",
            Self::LatencyP99 => "latency p99, ms",
            Self::DeliveryP50 => "delivery p50, ms",
            Self::DeliveryP99 => "delivery p99, ms",
            Self::DeliveryP999 => "delivery p99.9, ms",
            Self::EmitP99 => "emit p99, ms",
            Self::EventBytes => "bytes/event",
            Self::StreamKilobytes => "kB/stream",
            Self::IdlePercent => "CPU idle, %",
            Self::NicedPercent => "CPU niced, %",
            Self::StolenPercent => "CPU stolen, %",
        }
    }

    /// Digits after the point that mean something.
    pub fn digits(self) -> usize {
        match self {
            Self::EventsPerSecond
            | Self::EventBytes
            | Self::IdlePercent
            | Self::NicedPercent
            | Self::StolenPercent => 0,
            Self::CpuMicros | Self::DeliveryP50 | Self::DeliveryP99 | Self::DeliveryP999 | Self::EmitP99 => 2,
            Self::RedisMicros | Self::LatencyP50 | Self::LatencyP99 | Self::StreamKilobytes => 1,
        }
    }

    /// Whether a ratio of it means anything: latencies by time stamps are rounded to milliseconds and below that
    /// are noise, and what the machine did besides is no figure of either side.
    pub fn has_ratio(self) -> bool {
        !matches!(
            self,
            Self::LatencyP50
                | Self::LatencyP99
                | Self::EmitP99
                | Self::IdlePercent
                | Self::NicedPercent
                | Self::StolenPercent
        )
    }
}

/// The figures of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample(Vec<(Measure, f64)>);

impl Sample {
    /// Adds a figure.
    pub fn set(&mut self, measure: Measure, value: f64) {
        self.0.push((measure, value));
    }

    fn get(&self, measure: Measure) -> Option<f64> {
        self.0.iter().find(|(found, _)| *found == measure).map(|(_, value)| *value)
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (measure, value)) in self.0.iter().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            let digits = measure.digits();
            write!(f, "{separator}{value:.digits$} {}", measure.title())?;
        }
        Ok(())
    }
}

/// The runs of one workload: pod and peer, round by round.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    pod: Vec<Sample>,
    peer: Vec<Sample>,
}

/// One measure over all rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    /// Which.
    pub measure: Measure,
    /// The pod's figures.
    pub pod: Figures,
    /// The peer's.
    pub peer: Figures,
    /// Pod by peer: the median of the rounds' ratios, which a machine that slows down half way bends less than
    /// the ratio of the medians.
    pub ratio: Option<f64>,
}

/// The figures of one side.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// The middle one.
    pub median: f64,
    /// All, in the order of the rounds.
    pub rounds: Vec<f64>,
}

impl Pairs {
    /// Adds a run.
    pub fn add(&mut self, side: Side, sample: Sample) {
        match side {
            Side::Pod => self.pod.push(sample),
            Side::Peer => self.peer.push(sample),
        }
    }

    /// Every measure that all runs have, in a fixed order.
    pub fn compare(&self) -> Vec<Compared> {
        let mut measures: Vec<_> =
            self.pod.first().iter().flat_map(|sample| sample.0.iter().map(|(measure, _)| *measure)).collect();
        measures.sort_unstable();
        measures.into_iter().filter_map(|measure| self.compare_one(measure)).collect()
    }

    fn compare_one(&self, measure: Measure) -> Option<Compared> {
        let all = |samples: &[Sample]| -> Option<Vec<f64>> {
            samples.iter().map(|sample| sample.get(measure)).collect()
        };
        let (pod, peer) = (all(&self.pod)?, all(&self.peer)?);
        let ratios = pod.iter().zip(&peer).filter(|(_, peer)| **peer > 0.0).map(|(pod, peer)| pod / peer);
        let ratio = if measure.has_ratio() { median(ratios) } else { None };
        Some(Compared { measure, pod: Figures::of(pod)?, peer: Figures::of(peer)?, ratio })
    }
}

impl Figures {
    fn of(rounds: Vec<f64>) -> Option<Self> {
        Some(Self { median: median(rounds.iter().copied())?, rounds })
    }
}

/// The middle one; of an even number the mean of the two in the middle.
fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        assert!(close(median([9.0, 1.0, 5.0]).unwrap(), 5.0));
        assert!(close(median([4.0, 1.0, 2.0, 9.0]).unwrap(), 3.0));
        assert_eq!(median([]), None);
    }

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        let mut pairs = Pairs::default();
        // The machine halves its speed in the last rounds; the pod stays twice as dear throughout.
        for (pod, peer) in [(2.0, 1.0), (4.0, 2.0), (4.0, 2.0)] {
            for (side, value) in [(Side::Pod, pod), (Side::Peer, peer)] {
                let mut sample = Sample::default();
                sample.set(Measure::LatencyP50, value);
                sample.set(Measure::CpuMicros, value);
                pairs.add(side, sample);
            }
        }
        let compared = pairs.compare();
        assert_eq!(compared[0].measure, Measure::CpuMicros);
        assert!(close(compared[0].ratio.unwrap(), 2.0));
        assert!(close(compared[0].pod.median, 4.0));
        assert_eq!(compared[1].ratio, None);
    }
}
