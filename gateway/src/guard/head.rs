//! Finds the end of a head and checks what lies before it.

use fundbond_protocol::headers::X_CLUSTER_ROUTE;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use memchr::memchr;

use super::{Limits, Refusal};

/// The header by which a refused head is told to the HTTP library's side: see [`super::Guarded`]. No client can
/// send it, for its underscore.
pub(crate) const DISGUISE: &str = "guard_refusal";

/// A body longer than this is a mistake: no reader counts so far without overflow.
pub(super) const LONGEST: u64 = i64::MAX as u64;

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunks,
}

/// How far the search for the end of a head has come. Positions count from its first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// No line ends before this.
    scanned: u32,
    /// Where the line begins that has not ended yet.
    line: u32,
    /// Lines that ended, the empty ones before the request line aside.
    lines: u32,
}

impl Scan {
    /// The length of the head at the beginning of `bytes`, once all of it is there.
    pub(super) fn find_end(&mut self, bytes: &[u8], limits: Limits) -> Result<Option<usize>, Refusal> {
        let limit = limits.head_bytes as usize;
        let within = &bytes[..bytes.len().min(limit)];
        loop {
            let (scanned, line) = (self.scanned as usize, self.line as usize);
            // Whoever speaks another protocol may wait for an answer before it ends its first line.
            if self.lines == 0 && within.get(line).is_some_and(|&b| !is_token(b) && b != b'\r' && b != b'\n')
            {
                return Err(Refusal::RequestLine);
            }
            let Some(ahead) = memchr(b'\n', &within[scanned..]) else {
                self.scanned = position(within.len());
                return if within.len() == limit { Err(Refusal::HeadTooLarge) } else { Ok(None) };
            };
            let feed = scanned + ahead;
            if feed == line || within[feed - 1] != b'\r' {
                return Err(Refusal::BareLineFeed);
            }
            self.scanned = position(feed + 1);
            self.line = self.scanned;
            let is_empty = feed - 1 == line;
            if !is_empty {
                self.lines += 1;
                // The request line is none of the fields.
                if self.lines > u32::from(limits.fields) + 1 {
                    return Err(Refusal::TooManyFields);
                }
            } else if self.lines > 0 {
                return Ok(Some(feed + 1));
            }
            // Else an empty line before a request, which old clients send behind a body (RFC 9112, 2.2).
        }
    }
}

/// A position within a head, which is at most `Limits::head_bytes` long.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// What the fields of a head said so far.
#[derive(Default)]
struct Fields<'head> {
    host: Option<&'head [u8]>,
    length: Option<u64>,
    coded: bool,
    routed: bool,
}

/// Checks a whole head, each of whose lines ends with CR LF.
pub(super) fn check(head: &[u8]) -> Result<Framing, Refusal> {
    let mut lines = Lines(head).skip_while(|line| line.is_empty());
    let request = RequestLine::parse(lines.next().unwrap_or_default())?;
    let mut fields = Fields::default();
    for line in lines.take_while(|line| !line.is_empty()) {
        fields.read(line)?;
    }
    if request.is_connect {
        return Err(Refusal::Connect);
    }
    match (fields.host, request.authority) {
        (None, _) if request.is_old => {}
        (None, _) => return Err(Refusal::Host),
        (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority) => {
            return Err(Refusal::Authority);
        }
        (Some(_), _) => {}
    }
    match (fields.coded, fields.length) {
        (true, _) if request.is_old => Err(Refusal::OldTransferEncoding),
        (true, Some(_)) => Err(Refusal::TwoFramings),
        (true, None) => Ok(Framing::Chunks),
        (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
    }
}

/// The lines of a head without their CR LF.
struct Lines<'head>(&'head [u8]);

impl<'head> Iterator for Lines<'head> {
    type Item = &'head [u8];

    fn next(&mut self) -> Option<&'head [u8]> {
        let feed = memchr(b'\n', self.0)?;
        let line = &self.0[..feed];
        self.0 = &self.0[feed + 1..];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

struct RequestLine<'head> {
    is_connect: bool,
    /// HTTP/1.0.
    is_old: bool,
    /// The host of a target in absolute form.
    authority: Option<&'head [u8]>,
}

impl<'head> RequestLine<'head> {
    fn parse(line: &'head [u8]) -> Result<Self, Refusal> {
        // A second look at what is rarely there: which rule to name.
        let malformed = || match line.iter().find(|&&b| is_control(b)) {
            Some(_) => Refusal::ControlCharacter,
            None => Refusal::RequestLine,
        };
        let mut words = line.split(|&b| b == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(malformed());
        };
        let is_old = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(malformed()),
        };
        if method.is_empty() || !method.iter().all(|&b| is_token(b)) || target.iter().any(|&b| is_control(b))
        {
            return Err(malformed());
        }
        let is_connect = method == b"CONNECT";
        let authority = match target {
            [b'/', ..] => None,
            b"*" if method == b"OPTIONS" => None,
            _ if is_connect => None,
            _ => Some(authority(target).ok_or(Refusal::RequestLine)?),
        };
        Ok(Self { is_connect, is_old, authority })
    }
}

/// The host of `http://host/path`.
fn authority(target: &[u8]) -> Option<&[u8]> {
    let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| {
        target.get(..scheme.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(scheme))
    })?;
    let rest = &target[scheme.len()..];
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    Some(&rest[..end]).filter(|authority| !authority.is_empty())
}

impl<'head> Fields<'head> {
    fn read(&mut self, line: &'head [u8]) -> Result<(), Refusal> {
        let (name, value) = split(line)?;
        // Most names have none of these lengths.
        match name.len() {
            4 if is_named(name, HOST.as_str()) => {
                if self.host.is_some() {
                    return Err(Refusal::Host);
                }
                if !value.iter().all(|&b| is_of_host(b)) {
                    return Err(Refusal::HostValue);
                }
                self.host = Some(value);
            }
            14 if is_named(name, CONTENT_LENGTH.as_str()) => {
                if self.length.is_some() {
                    return Err(Refusal::ContentLengths);
                }
                self.length = Some(decimal(value).ok_or(Refusal::ContentLength)?);
            }
            17 if is_named(name, TRANSFER_ENCODING.as_str()) => {
                if self.coded || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::TransferEncoding);
                }
                self.coded = true;
            }
            15 if is_named(name, X_CLUSTER_ROUTE) => {
                if self.routed {
                    return Err(Refusal::Routes);
                }
                self.routed = true;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Name and value of a header line.
fn split(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Refusal::Folded);
    }
    let colon = memchr(b':', line);
    let (name, value) = line.split_at(colon.unwrap_or(line.len()));
    if let Some(&odd) = name.iter().find(|&&b| !is_token(b) || b == b'_') {
        return Err(match odd {
            b'_' => Refusal::Underscore,
            b' ' | b'\t' if colon.is_some() && name.trim_ascii_end().iter().all(|&b| is_token(b)) => {
                Refusal::SpaceBeforeColon
            }
            b' ' | b'\t' => Refusal::HeaderLine,
            _ if is_control(odd) => Refusal::ControlCharacter,
            _ => Refusal::HeaderLine,
        });
    }
    if name.is_empty() || colon.is_none() {
        return Err(Refusal::HeaderLine);
    }
    let value = &value[1..];
    if value.iter().any(|&b| is_control(b) && b != b'\t') {
        return Err(Refusal::ControlCharacter);
    }
    Ok((name, value.trim_ascii()))
}

fn is_named(name: &[u8], known: &str) -> bool {
    name.eq_ignore_ascii_case(known.as_bytes())
}

/// A number of decimal digits alone: no sign, no list, no white space.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit).filter(|&number| number <= LONGEST)
    })
}

pub(super) fn is_control(byte: u8) -> bool {
    byte < b' ' || byte == 0x7f
}

/// Bytes of a method or a header name (RFC 9110, 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// A table, as every byte of every name is looked at.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

/// Bytes of a host with a port (RFC 3986, 3.2.2), the comma aside: it would make a list.
fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b':'
                | b'['
                | b']'
                | b'%'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b';'
                | b'='
        )
}
