//! The demonstration: a portfolio goes through the gateway like anybody's, and is shown like anybody's.

use std::path::Path;

use fundbond_cli::{
    Error, Exit,
    args::Format,
    body::{self, Extra, TaskBody},
    client::Client,
    render::Renderer,
    stream::{Ended, EventStream, HttpTransport, Policy},
    watch::{self, End, Outcome, View},
};
use fundbond_protocol::api::OpenStream;

/// The sample, part of the program so that it works wherever it is copied to.
const SAMPLE: &str = include_str!("../../examples/fund.json");
/// What messages call it.
const SAMPLE_NAME: &str = "examples/fund.json";

/// Where the file does not say: several steps to see, even of a small fund.
const CHUNK_SIZE: u32 = 8;

/// The body of the demonstration's task: of `file`, else the sample.
pub fn body(file: Option<&Path>) -> Result<TaskBody, Error> {
    let mut body = match file {
        Some(file) => body::read(file, Extra::default()),
        None => body::parse(SAMPLE_NAME, SAMPLE, Extra::default()),
    }?;
    let fields = body.json.as_object_mut();
    if let Some(fields) = fields.filter(|fields| fields.contains_key("holdings")) {
        fields.entry("chunkSize").or_insert_with(|| CHUNK_SIZE.into());
    }
    Ok(body)
}

/// Starts the task and shows it to its end, or until `stop` completes.
pub async fn run(client: &Client, body: &TaskBody, stop: impl Future<Output = ()>) -> Result<Exit, Error> {
    let accepted =
        client.submit(&body.json).await.map_err(|source| Error::task("start", &body.task, source))?;
    let mut view = View::new(accepted.connection_id.clone(), [accepted.correlation_id.clone()]);
    let open = OpenStream {
        connection_id: accepted.connection_id.clone(),
        task_ids: vec![accepted.correlation_id],
        user_id: None,
        system: None,
        events: Vec::new(),
    };
    let mut stream = EventStream::new(HttpTransport::new(client.clone(), open), Policy::default(), "");
    let mut renderer = Renderer::standard(Format::Table);
    let end = watch::follow(&mut stream, &mut view, &mut renderer, stop).await?;
    if end == End::Stream(Ended::Finished) {
        watch::settle(client, &mut view, &mut renderer).await?;
    }
    renderer.finish(&view)?;
    Ok(match (end, view.outcome()) {
        (End::Stopped, _) => Exit::Interrupted,
        (_, Outcome::Completed) => Exit::Ok,
        (_, Outcome::Incomplete) => Exit::Degraded,
        (_, Outcome::Unfinished | Outcome::Cancelled | Outcome::Failed) => Exit::Error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_a_task_with_several_chunks() {
        let body = body(None).unwrap();
        let holdings = body.json["holdings"].as_array().unwrap().len();
        assert!(holdings > 8, "{holdings} holdings are one chunk: nothing to see");
        assert_eq!(body.json["chunkSize"], 8);
    }
}
