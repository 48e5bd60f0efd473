//! Pure bond and fund calculation.
mod bill;
mod calendar;
mod cash_flow;
mod day;
mod day_count;
mod error;
mod instrument;
mod json;
mod line;
mod pricing;
mod quote;
mod schedule;

pub use calendar::{Calendar, Convention};
pub use day::{FIRST_YEAR, LAST_YEAR};
pub use day_count::DayCount;
pub use error::FieldError;
pub use instrument::{Bond, Compounding, Instrument, InstrumentType, ScheduleRule};
pub use line::{PricedLine, price_line};
pub use quote::{Analytics, Quote, QuoteValue, Scratch, Settlement, price};
