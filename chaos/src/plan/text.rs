//! A plan as text, 80 columns wide at most.

use std::fmt;

use super::{Clock, Desk, Habit, Notes, Plan, Planned, Target, Work};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks: usize = self.desks.iter().map(|desk| desk.jobs.len()).sum();
        let memory = if self.redis_keeps { "finds its data again" } else { "forgets at a restart" };
        writeln!(
            f,
            "seed {}: {} pods, {} proxies, a Redis that {memory}",
            self.seed, self.pods, self.proxies
        )?;
        writeln!(
            f,
            "{} clients, {tasks} tasks, {} faults; calm from {:.1} s, over at {:.1} s",
            self.desks.len(),
            self.faults.len(),
            self.calm_from.as_secs_f64(),
            self.ends.as_secs_f64()
        )?;
        for Clock { pod, hours } in &self.clocks {
            writeln!(f, "the clock of {} is wrong by {hours:+} h", Target::Pod(*pod))?;
        }
        if let Some(pod) = self.leads_first {
            writeln!(f, "{} leads the housekeeping first", Target::Pod(pod))?;
        }
        for fault in &self.faults {
            writeln!(f, "{fault}")?;
        }
        for desk in &self.desks {
            writeln!(f, "{desk}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8.2} s  {:<13} {}", self.at.as_secs_f64(), self.kind, self.target)?;
        match self.lasts {
            Some(lasts) => write!(f, " for {:.2} s", lasts.as_secs_f64()),
            None => f.write_str(" for good"),
        }
    }
}

impl fmt::Display for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8.2} s  {:<13} {}", self.at.as_secs_f64(), self.connection.as_str(), self.habit)?;
        if let Some(Notes { count, gap }) = self.notes {
            let at = self.at.as_secs_f64();
            write!(f, "\n{at:>8.2} s    {count} notes, one each {} ms", gap.as_millis())?;
        }
        for job in &self.jobs {
            let at = (self.at + job.after).as_secs_f64();
            write!(f, "\n{at:>8.2} s    {:<18} {}", job.task.as_str(), job.work)?;
            if let Some(after) = job.cancel {
                write!(f, ", cancelled after {:.2} s", after.as_secs_f64())?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Habit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stays => f.write_str("stays"),
            Self::Watches => f.write_str("watches"),
            Self::Leaves { after, away } => {
                write!(f, "leaves after {:.1} s, for {:.1} s", after.as_secs_f64(), away.as_secs_f64())
            }
            Self::Slow { pause } => write!(f, "is slow, {:.1} s at a time", pause.as_secs_f64()),
            Self::Quits => f.write_str("quits when it is broken"),
            Self::Twice { after } => write!(f, "opens a second page after {:.1} s", after.as_secs_f64()),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps { count, delay } => write!(f, "{count} steps of {} ms", delay.as_millis()),
            Self::Portfolio { holdings } => write!(f, "a fund of {holdings} bonds"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::ValueEnum as _;

    use crate::plan::{FaultKind, Size, draw};

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let kinds = FaultKind::value_variants().to_vec();
        let size = Size { pods: 16, proxies: 4, streams: 500, lasts: Duration::from_mins(3), kinds };
        let text = draw(u64::MAX, &size).unwrap().to_string();
        assert!(text.lines().count() > 2000);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
