//! Fund valuation as chunks, in the words of a task.

use std::sync::Arc;

use fundbond_bonds::{ChunkResult, Portfolio, PortfolioSummary};
use fundbond_protocol::{TaskId, api::TASKS_PATH};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{Said, Stopped};

/// The name of this kind.
pub const KIND: &str = "portfolio-valuation";

/// What a chunk's event says for programs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChunkSummary {
    /// Holdings with a price.
    priced: usize,
    /// Holdings without one.
    unpriceable: usize,
    /// Of the priced holdings, as decimal text.
    #[schema(value_type = String)]
    market_value: serde_json::Value,
}

/// What the final event says for programs.
#[derive(Debug, Serialize, ToSchema)]
pub struct ValuationResult {
    /// The fund as a whole.
    #[serde(flatten)]
    summary: PortfolioSummary,
    /// Where the rows are, one a holding.
    rows: String,
}

/// A fund to value.
#[derive(Debug)]
pub struct PortfolioWork(Portfolio);

/// A valued fund.
#[derive(Debug)]
pub struct Valued {
    /// What the final event says.
    pub said: Said,
    /// One JSON value a holding.
    pub rows: Vec<Arc<str>>,
}

impl PortfolioWork {
    /// Work on a validated portfolio.
    pub fn new(portfolio: Portfolio) -> Self {
        Self(portfolio)
    }

    /// How many chunks there are, at least one.
    pub fn chunks(&self) -> usize {
        self.0.chunks()
    }

    /// What the task says when it begins.
    pub fn opening(&self) -> String {
        match self.chunks() {
            1 => "valuing the fund in 1 chunk".to_owned(),
            chunks => format!("valuing the fund in {chunks} chunks"),
        }
    }

    /// Values one chunk; asks `keep_going` often.
    ///
    /// # Errors
    /// [`Stopped::Told`] where `keep_going` said no.
    pub fn chunk(&self, index: usize, keep_going: &dyn Fn() -> bool) -> Result<ChunkResult, Stopped> {
        self.0.value_chunk(index, keep_going).ok_or(Stopped::Told)
    }

    /// What a chunk's event says.
    pub fn said_of(chunk: &ChunkResult) -> Said {
        let result = ChunkSummary {
            priced: chunk.priced(),
            unpriceable: chunk.unpriceable(),
            market_value: json!(chunk.market_value()),
        };
        Said { message: chunk.message(), result: json!(result) }
    }

    /// Puts the chunks together, in order.
    ///
    /// # Errors
    /// [`Stopped::Failed`] where the request was strict and a holding could not be priced.
    pub fn finish(&self, chunks: Vec<ChunkResult>, task: &TaskId) -> Result<Valued, Stopped> {
        let valued = self.0.finish(chunks).map_err(|failure| Stopped::Failed(failure.to_string()))?;
        let internal =
            |error: serde_json::Error| Stopped::Failed(format!("the result has no JSON form: {error}"));
        let rows = valued.rows.iter().map(|row| Ok(serde_json::to_string(row).map_err(internal)?.into()));
        let rows = rows.collect::<Result<Vec<Arc<str>>, Stopped>>()?;
        let message = valued.summary.message();
        let result = ValuationResult { summary: valued.summary, rows: format!("{TASKS_PATH}/{task}/rows") };
        let result = serde_json::to_value(result).map_err(internal)?;
        Ok(Valued { said: Said { message, result }, rows })
    }
}
