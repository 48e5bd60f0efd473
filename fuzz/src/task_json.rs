//! The body that starts a valuation: no bytes make it panic, every refusal names its field, the text a request is
//! recognised by does not change when it is read and written again, and a small fund is valued alike in any chunks.

use fundbond_bonds::{Portfolio, PortfolioRequest, PortfolioResult, StrictFailure, price_line};
use fundbond_protocol::{ConnectionId, TaskId};
use serde_json::{Map, Value};

/// Holdings and repricings of a fund that is valued here: what an input may cost stays a few milliseconds.
const MOST_HOLDINGS: usize = 8;
const MOST_SHOCKS: usize = 8;

/// Checks one input.
pub fn check(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        a_line(text);
    }
    let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(bytes) else { return };
    for (name, value) in ["correlationId", "connectionId", "kind"].map(|name| (name, fields.remove(name))) {
        if let (true, Some(Value::String(id))) = (name == "correlationId", value) {
            an_id(&id);
        }
    }
    match PortfolioRequest::from_value(Value::Object(fields)) {
        Ok(request) => a_request(request),
        Err(error) => assert!(!error.field.is_empty() && !error.message.is_empty(), "{error:?}"),
    }
}

/// The same instruments and quotes, one a line, as `fundctl bonds price` reads them.
fn a_line(text: &str) {
    let priced = price_line(text);
    assert!(!priced.line.contains('\n'));
    let answer: Map<String, Value> = serde_json::from_str(&priced.line).expect("an answer is JSON");
    assert_eq!(answer.contains_key("error"), priced.failed);
    assert!(no_number_is_lost(&answer), "{}", priced.line);
}

/// JSON has no infinity: one would be written as null.
fn no_number_is_lost(answer: &Map<String, Value>) -> bool {
    answer.get("error").is_some() || answer.values().all(|value| !value.is_null())
}

fn an_id(text: &str) {
    if let Ok(task) = TaskId::parse(text) {
        let connection = ConnectionId::of_task(&task);
        assert_eq!(ConnectionId::parse(connection.as_str()), Ok(connection));
    }
}

fn a_request(request: PortfolioRequest) {
    let text = serde_json::to_string(&request).expect("a request that was read can be written");
    let again = PortfolioRequest::from_json(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(serde_json::to_string(&again).expect("it was written before"), text);

    let small = request.holdings.len() <= MOST_HOLDINGS && request.shocks_bp.len() <= MOST_SHOCKS;
    let one_by_one = PortfolioRequest { chunk_size: Some(1), ..request.clone() };
    match (request.validate(), again.validate()) {
        (Ok(portfolio), Ok(_)) => {
            assert!(portfolio.chunks() >= 1);
            if small {
                let value = value(&portfolio);
                let in_single_steps = one_by_one.validate().expect("only the chunk size differs");
                assert_eq!(value, self::value(&in_single_steps), "{text}");
            }
        }
        (Err(errors), Err(same)) => {
            assert!(
                !errors.is_empty() && errors.iter().all(|e| !e.field.is_empty() && !e.message.is_empty())
            );
            assert_eq!(errors, same);
        }
        (first, second) => panic!("{first:?}, written and read again {second:?}"),
    }
}

/// Values a fund and returns its result as text: equal means equal to the byte.
fn value(portfolio: &Portfolio) -> Result<String, String> {
    let chunks = (0..portfolio.chunks())
        .map(|index| portfolio.value_chunk(index, &|| true).expect("nobody said stop"))
        .inspect(|chunk| assert!(!chunk.message().is_empty()))
        .collect();
    let result: Result<PortfolioResult, StrictFailure> = portfolio.finish(chunks);
    let PortfolioResult { rows, summary } = result.map_err(|failure| failure.to_string())?;
    let rows = serde_json::to_string(&rows).expect("rows have a JSON form");
    let summary = serde_json::to_string(&summary).expect("a summary has a JSON form");
    Ok(format!("{summary}\n{rows}"))
}
