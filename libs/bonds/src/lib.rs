//! Bonds and funds, calculated: no clock, no IO, no runtime, no panic on any input.
//!
//! ```text
//! Instrument (JSON) --TryFrom--> Bond --analytics(settlement, quote)--> Analytics      one security
//! PortfolioRequest (JSON) --validate--> Portfolio --value_chunk--> ChunkResult*
//!                                       Portfolio --finish(chunks)--> PortfolioResult   a fund
//! ```
//!
//! Everything that can be wrong with an input is found on the first arrow and reported as a [`FieldError`] that names
//! the field and the fix; the second arrow can only fail for reasons of the quote. Inside, dates are day numbers,
//! a bond is a list of flows over a few distinct steps of time, and price, durations and convexity come from one
//! pass over it. Analytics are `f64` with a fixed order of summation; money is decimal, rounded half-even to cents.
//!
//! The crate never reads the time, opens a file, spawns or logs; whoever calls it supplies text and dates, and may
//! stop a chunk between holdings. It never guesses: a field that would have no effect on an instrument is refused.

mod bill;
mod calendar;
mod cash_flow;
mod day;
mod day_count;
mod error;
mod instrument;
mod json;
mod line;
mod portfolio;
mod pricing;
mod quote;
mod schedule;
#[cfg(feature = "openapi")]
mod schema;
mod treasury_csv;

pub use calendar::{Calendar, Convention};
pub use day::{FIRST_YEAR, LAST_YEAR};
pub use day_count::DayCount;
pub use error::FieldError;
pub use instrument::{Bond, Compounding, Instrument, InstrumentType, ScheduleRule};
pub use line::{PricedLine, price_line};
pub use portfolio::{
    CashMonth, ChunkResult, Holding, HoldingRow, Limit, LimitBreach, LimitKind, Portfolio, PortfolioRequest,
    PortfolioResult, PortfolioSummary, ShockResult, StrictFailure,
};
pub use quote::{Analytics, Quote, QuoteValue, Scratch, Settlement, price};
pub use treasury_csv::{AuctionCheck, auction_check, portfolio_from_treasury_csv};
