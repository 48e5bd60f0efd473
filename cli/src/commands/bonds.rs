//! `bonds price`: one line in, one line out, as long as lines come and in the memory of one of them.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
};

use fundbond_bonds::{FieldError, price_line};
use serde_json::json;

use crate::error::{Error, Exit};

/// An instrument with a coupon rate for each of 1,200 monthly periods is 30 kB; a line of more than 1 MiB
/// is something else, and is answered without being kept.
const MAX_LINE_BYTES: u64 = 1024 * 1024;
/// Enough for a few hundred lines between two system calls.
const BUFFER_BYTES: usize = 64 * 1024;

/// Prices the lines of `file` (`-`: standard input) to standard output.
pub(super) fn price(file: &Path) -> Result<Exit, Error> {
    let (name, input): (String, Box<dyn Read>) = if file == Path::new("-") {
        ("standard input".to_owned(), Box::new(io::stdin().lock()))
    } else {
        let name = file.display().to_string();
        match File::open(file) {
            Ok(file) => (name, Box::new(file)),
            Err(source) => return Err(Error::Read { file: name, source }),
        }
    };
    let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    let counts = price_lines(&mut input, &mut out).map_err(|error| match error {
        Broken::In(source) => Error::Read { file: name, source },
        Broken::Out(source) => Error::Write(source),
    })?;
    if counts.failed == 0 {
        return Ok(Exit::Ok);
    }
    // The lines themselves say what is wrong; this says that there are some.
    let _ =
        writeln!(io::stderr(), "{} of {} lines were not priced; each says why", counts.failed, counts.lines);
    Ok(Exit::Error)
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    lines: u64,
    failed: u64,
}

#[derive(Debug)]
enum Broken {
    In(io::Error),
    Out(io::Error),
}

fn price_lines<R: Read>(input: &mut BufReader<R>, out: &mut impl Write) -> Result<Counts, Broken> {
    let mut counts = Counts::default();
    let mut line = Vec::new();
    loop {
        // Whoever waits for an answer before writing the next line gets it; a file is never flushed early.
        if input.buffer().is_empty() {
            out.flush().map_err(Broken::Out)?;
        }
        line.clear();
        let read =
            input.by_ref().take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut line).map_err(Broken::In)?;
        if read == 0 {
            out.flush().map_err(Broken::Out)?;
            return Ok(counts);
        }
        let whole = line.ends_with(b"\n");
        let priced = if !whole && read as u64 > MAX_LINE_BYTES {
            skip_line(input).map_err(Broken::In)?;
            Err(format!("is longer than {MAX_LINE_BYTES} bytes"))
        } else {
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            str::from_utf8(text).map(price_line).map_err(|error| format!("is not UTF-8: {error}"))
        };
        counts.lines += 1;
        let answer = match priced {
            Ok(priced) => {
                counts.failed += u64::from(priced.failed);
                priced.line
            }
            Err(why) => {
                counts.failed += 1;
                json!({"id": null, "error": FieldError::new("line", why)}).to_string()
            }
        };
        out.write_all(answer.as_bytes()).and_then(|()| out.write_all(b"\n")).map_err(Broken::Out)?;
    }
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let piece = input.fill_buf()?;
        let (used, done) = match piece.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (piece.len(), piece.is_empty()),
        };
        input.consume(used);
        if done {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"instrument":{"id":"A","type":"fixed","datedDate":"2020-01-15","maturityDate":"2030-01-15","couponRate":0.04,"frequency":2,"dayCount":"ACT/ACT ICMA"},"quote":{"settlementDate":"2026-01-20","yield":0.04}}"#;

    fn priced(input: &[u8]) -> (Vec<serde_json::Value>, Counts) {
        let mut out = Vec::new();
        let counts = price_lines(&mut BufReader::with_capacity(7, input), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), counts)
    }

    #[test]
    fn every_line_is_answered_in_its_place_and_bad_ones_are_counted() {
        let input = format!("{GOOD}\r\n\n{{}}\nnot json\n{GOOD}");
        let (answers, counts) = priced(input.as_bytes());
        let errors: Vec<bool> = answers.iter().map(|answer| answer.get("error").is_some()).collect();
        assert_eq!(errors, [false, true, true, true, false]);
        assert_eq!(answers[0]["id"], "A");
        assert_eq!(answers[0], answers[4]);
        assert_eq!(counts, Counts { lines: 5, failed: 3 });
    }

    #[test]
    fn a_line_too_long_or_not_text_is_an_answer_and_not_memory() {
        let mut input = vec![b'x'; 3 * 1024 * 1024];
        input.extend_from_slice(b"\n\xff\xfe\n");
        input.extend_from_slice(GOOD.as_bytes());
        let (answers, counts) = priced(&input);
        assert_eq!(answers[0]["error"]["message"], "is longer than 1048576 bytes");
        assert!(answers[1]["error"]["message"].as_str().unwrap().starts_with("is not UTF-8"));
        assert_eq!(answers[2]["id"], "A");
        assert_eq!(counts, Counts { lines: 3, failed: 2 });
    }

    #[test]
    fn no_input_is_no_output() {
        assert_eq!(priced(b""), (Vec::new(), Counts::default()));
    }
}
