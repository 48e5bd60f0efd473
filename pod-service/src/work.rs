//! Kinds of work a task can be, parsed and checked before the task is accepted.

pub mod portfolio;
pub mod steps;

use fundbond_bonds::FieldError;
use fundbond_protocol::problem::FieldProblem;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// What a chunk or a task says when it is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// For people.
    pub message: String,
    /// For programs.
    pub result: Value,
}

/// How a piece of work ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Somebody told it to.
    Told,
    /// It cannot be done; the text says why.
    Failed(String),
}

/// Work that can run.
#[derive(Debug)]
pub enum Work {
    /// Values a fund.
    Portfolio(Box<portfolio::PortfolioWork>),
    /// Counts.
    Steps(steps::Steps),
}

/// The kind where a request names none.
pub const DEFAULT_KIND: &str = portfolio::KIND;

/// Every kind, for error texts.
const KINDS: [&str; 2] = [portfolio::KIND, steps::KIND];

/// Work and the text that identifies it: the request as we would have written it.
#[derive(Debug)]
pub struct Parsed {
    /// The work.
    pub work: Work,
    /// Equal for equal requests, whatever their spacing and order of fields.
    pub canonical: String,
}

impl Work {
    /// Its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Portfolio(_) => portfolio::KIND,
            Self::Steps(_) => steps::KIND,
        }
    }

    /// Parses the fields that belong to the kind.
    ///
    /// # Errors
    /// Every bad field, by name.
    pub fn parse(kind: &str, fields: Map<String, Value>) -> Result<Parsed, Vec<FieldProblem>> {
        match kind {
            portfolio::KIND => {
                // It reads instruments of unknown types as holdings that cannot be priced, not as errors.
                let request = fundbond_bonds::PortfolioRequest::from_value(Value::Object(fields))
                    .map_err(|error| vec![field_problem(error)])?;
                let canonical = canonical(kind, &request)?;
                let portfolio =
                    request.validate().map_err(|e| e.into_iter().map(field_problem).collect::<Vec<_>>())?;
                Ok(Parsed {
                    work: Self::Portfolio(Box::new(portfolio::PortfolioWork::new(portfolio))),
                    canonical,
                })
            }
            steps::KIND => {
                let request = typed::<steps::StepsRequest>(fields)?;
                let canonical = canonical(kind, &request)?;
                Ok(Parsed { work: Self::Steps(steps::Steps::check(request)?), canonical })
            }
            other => Err(vec![FieldProblem {
                field: "kind".into(),
                message: format!("{other:?} is not a kind of task; known kinds: {}", KINDS.join(", ")),
            }]),
        }
    }
}

fn typed<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Vec<FieldProblem>> {
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| {
        let field = match error.path().to_string() {
            // The path is `.` where a field is missing or unknown at the top; the message names it.
            path if path == "." => "body".to_owned(),
            path => path,
        };
        vec![FieldProblem { field, message: error.inner().to_string() }]
    })
}

fn canonical<T: Serialize>(kind: &str, request: &T) -> Result<String, Vec<FieldProblem>> {
    serde_json::to_string(request).map(|json| format!("{kind}\n{json}")).map_err(|error| {
        vec![FieldProblem {
            field: "body".into(),
            message: format!("cannot be written as JSON again: {error}"),
        }]
    })
}

fn field_problem(error: FieldError) -> FieldProblem {
    FieldProblem { field: error.field, message: error.message }
}
