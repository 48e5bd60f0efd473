//! A fund: holdings priced chunk by chunk, then summed into one valuation.
//!
//! [`PortfolioRequest`] is the wire form; [`PortfolioRequest::validate`] turns it into a [`Portfolio`] whose chunks
//! can be valued in any order and on any thread. Totals are built from rows in holding order and from exact decimal
//! sums, so neither the chunk size nor the order in which chunks end changes a digit of the result.

mod chunk;
mod limits;
mod money;
mod request;
mod result;

pub use chunk::ChunkResult;
pub use limits::{Limit, LimitBreach, LimitKind};
pub use request::{Holding, Portfolio, PortfolioRequest};
pub use result::{CashMonth, HoldingRow, PortfolioResult, PortfolioSummary, ShockResult, StrictFailure};
