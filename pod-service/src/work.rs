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
    /// Its task has ended: whoever told it to stop has emitted the final event.
    Told,
    /// Its task goes on elsewhere.
    Left,
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

/// The value of a metric label for a kind, whoever named it.
pub fn kind_label(kind: &str) -> &'static str {
    KINDS.into_iter().find(|known| *known == kind).unwrap_or("other")
}

/// Work and the text that identifies it.
#[derive(Debug)]
pub struct Parsed {
    /// The work.
    pub work: Work,
    /// The request as we would have written it, as JSON: equal for equal requests, whatever their spacing and order of
    /// fields. Parsed again it is the same work, on any pod.
    pub json: String,
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
                let json = canonical(&request)?;
                let portfolio =
                    request.validate().map_err(|e| e.into_iter().map(field_problem).collect::<Vec<_>>())?;
                Ok(Parsed { work: Self::Portfolio(Box::new(portfolio::PortfolioWork::new(portfolio))), json })
            }
            steps::KIND => {
                let request = typed::<steps::StepsRequest>(fields)?;
                let json = canonical(&request)?;
                Ok(Parsed { work: Self::Steps(steps::Steps::check(request)?), json })
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

fn canonical<T: Serialize>(request: &T) -> Result<String, Vec<FieldProblem>> {
    serde_json::to_string(request).map_err(|error| {
        vec![FieldProblem {
            field: "body".into(),
            message: format!("cannot be written as JSON again: {error}"),
        }]
    })
}

fn field_problem(error: FieldError) -> FieldProblem {
    FieldProblem { field: error.field, message: error.message }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A task is written down by one pod and read by another.
    #[test]
    fn a_request_written_again_is_the_same_request() {
        let fund = include_str!("../../examples/fund.json");
        let mut fund: Map<String, Value> = serde_json::from_str(fund).unwrap();
        for envelope in ["correlationId", "connectionId", "kind"] {
            fund.remove(envelope);
        }
        let steps = Map::from_iter([("count".to_owned(), Value::from(3))]);
        for (kind, fields) in [(portfolio::KIND, fund), (steps::KIND, steps)] {
            let first = Work::parse(kind, fields).unwrap();
            let second = Work::parse(kind, serde_json::from_str(&first.json).unwrap()).unwrap();
            assert_eq!(first.json, second.json);
            assert_eq!(format!("{:?}", first.work), format!("{:?}", second.work));
        }
    }
}
