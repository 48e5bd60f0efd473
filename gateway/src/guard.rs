//! The head guard: reads the bytes of a connection before the HTTP library does, because that hides some of what
//! two servers in a row could read differently (request smuggling). Pure: bytes in, verdicts out.
//!
//! It follows the framing of every request of a connection, bodies included, so that none comes past it. Bytes of
//! a head pass only once the whole head is known to be good; bytes of a body pass as they come. It takes fewer
//! liberties than any server behind it: whatever it lets pass has one reading.

mod chunks;
mod head;
mod socket;

use http::StatusCode;

use self::{
    chunks::Chunks,
    head::{Framing, Scan},
};

pub(crate) use self::{head::DISGUISE, socket::Guarded};

/// How large a head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head: request line, fields, line ends. Also of all chunk extensions and trailers of one body.
    pub head_bytes: u32,
    /// Fields of a head; also of one body's trailers.
    pub fields: u16,
}

impl Limits {
    /// Those of the server, which a [`Refusal`] names.
    pub const USUAL: Self = Self {
        // As in most servers. Browsers send 1 to 2 KiB, a large token or cookie 8 KiB.
        head_bytes: 16 * 1024,
        // As in most servers; the HTTP library behind reads no more.
        fields: 100,
    };
}

/// The rule that a request breaks. The text says what to send instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// A line of a head ends with a bare LF.
    #[error("a line of the head ends with a bare LF; end each with CR LF")]
    BareLineFeed,
    /// NUL, a bare CR or another control character in a head.
    #[error("the head has a control character (NUL, a bare CR or another); leave it out")]
    ControlCharacter,
    /// The first line is no `METHOD target HTTP/1.1`.
    #[error("the request line is not of the form METHOD target HTTP/1.1 (or HTTP/1.0)")]
    RequestLine,
    /// A tunnel is asked for.
    #[error("CONNECT is not offered here; send the request itself")]
    Connect,
    /// A line is no `Name: value`.
    #[error("a header line is not of the form Name: value")]
    HeaderLine,
    /// White space between a name and its colon.
    #[error("a header name is followed by white space; put the colon right after it")]
    SpaceBeforeColon,
    /// A value goes on in a second line.
    #[error("a header value is folded over several lines; write it in one")]
    Folded,
    /// To some servers `x_real_ip` is `x-real-ip`, which a hop would have replaced.
    #[error("a header name has an underscore; write dashes")]
    Underscore,
    /// Not exactly one `Host`.
    #[error("exactly one Host header is needed")]
    Host,
    /// A `Host` that is none.
    #[error("the Host header is not a host name with an optional port")]
    HostValue,
    /// The request line names another host than `Host`.
    #[error("the host in the request line differs from the Host header")]
    Authority,
    /// Two `Content-Length`.
    #[error("Content-Length is given more than once; give it once")]
    ContentLengths,
    /// A `Content-Length` that is no number.
    #[error("Content-Length is not a plain decimal number")]
    ContentLength,
    /// Two ways to tell where the body ends.
    #[error("Content-Length and Transfer-Encoding are both given; give one of them")]
    TwoFramings,
    /// A coding other than `chunked`, or `chunked` twice.
    #[error("the only Transfer-Encoding accepted is chunked, given once")]
    TransferEncoding,
    /// A coding that HTTP/1.0 does not know.
    #[error("HTTP/1.0 knows no Transfer-Encoding; send HTTP/1.1")]
    OldTransferEncoding,
    /// Two route headers.
    #[error("{} is given more than once; give it once", fundbond_protocol::headers::X_CLUSTER_ROUTE_DISPLAY)]
    Routes,
    /// Too many header lines.
    #[error("the head has more than {} header lines; send fewer", Limits::USUAL.fields)]
    TooManyFields,
    /// Too many bytes.
    #[error("the head is larger than {} bytes; send less in it", Limits::USUAL.head_bytes)]
    HeadTooLarge,
    /// A chunk whose size is no hexadecimal number, or that is longer or shorter than its size.
    #[error("a chunk of the request body is malformed")]
    Chunk,
    /// A line of the framing of chunks ends with a bare LF.
    #[error("a line between the chunks of the request body ends with a bare LF; end each with CR LF")]
    ChunkLineFeed,
    /// A trailer that is no field, or whose name would be refused in a head.
    #[error("a trailer of the request body is malformed")]
    Trailer,
    /// Chunk extensions or trailers without end.
    #[error(
        "the chunk extensions or trailers of the request body have more than {} bytes or {} lines",
        Limits::USUAL.head_bytes,
        Limits::USUAL.fields
    )]
    ChunkLimits,
}

impl Refusal {
    /// Every rule.
    pub const ALL: [Self; 23] = [
        Self::BareLineFeed,
        Self::ControlCharacter,
        Self::RequestLine,
        Self::Connect,
        Self::HeaderLine,
        Self::SpaceBeforeColon,
        Self::Folded,
        Self::Underscore,
        Self::Host,
        Self::HostValue,
        Self::Authority,
        Self::ContentLengths,
        Self::ContentLength,
        Self::TwoFramings,
        Self::TransferEncoding,
        Self::OldTransferEncoding,
        Self::Routes,
        Self::TooManyFields,
        Self::HeadTooLarge,
        Self::Chunk,
        Self::ChunkLineFeed,
        Self::Trailer,
        Self::ChunkLimits,
    ];

    /// A short name, for labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::BareLineFeed => "bare-line-feed",
            Self::ControlCharacter => "control-character",
            Self::RequestLine => "request-line",
            Self::Connect => "connect",
            Self::HeaderLine => "header-line",
            Self::SpaceBeforeColon => "space-before-colon",
            Self::Folded => "folded",
            Self::Underscore => "underscore",
            Self::Host => "not-one-host",
            Self::HostValue => "host-value",
            Self::Authority => "other-authority",
            Self::ContentLengths => "several-lengths",
            Self::ContentLength => "length-value",
            Self::TwoFramings => "two-framings",
            Self::TransferEncoding => "coding",
            Self::OldTransferEncoding => "old-coding",
            Self::Routes => "several-routes",
            Self::TooManyFields => "too-many-fields",
            Self::HeadTooLarge => "head-too-large",
            Self::Chunk => "chunk",
            Self::ChunkLineFeed => "chunk-line-feed",
            Self::Trailer => "trailer",
            Self::ChunkLimits => "chunk-limits",
        }
    }

    /// The rule of that [`name`](Self::name).
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// What a client is answered.
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooManyFields | Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// Whether it was found in a body, whose head has passed already.
    pub fn is_in_body(self) -> bool {
        matches!(self, Self::Chunk | Self::ChunkLineFeed | Self::Trailer | Self::ChunkLimits)
    }
}

/// What became of the bytes fed to a [`Guard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fed {
    /// So many of them, from the first on, may pass. The others are the beginning of a head: they are to be fed
    /// again, with what follows them behind.
    pub passed: usize,
    /// What is wrong with the byte or head after them. Nothing passes any more.
    pub refusal: Option<Refusal>,
}

/// Where in the bytes of a connection the guard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a head, or before one.
    Head(Scan),
    /// In a body, so many bytes before its end.
    Length(u64),
    /// In a body in chunks.
    Chunks(Chunks),
    /// Past a byte that may not pass.
    Refused(Refusal),
}

/// The guard of one connection. Small, and without memory of its own: a stream keeps one for hours.
#[derive(Clone, Debug)]
pub struct Guard {
    state: State,
    limits: Limits,
}

impl Guard {
    /// A guard before the first byte of a connection.
    pub fn new(limits: Limits) -> Self {
        Self { state: State::Head(Scan::default()), limits }
    }

    /// Looks at `unread`: what was fed and did not pass before, followed by what is new. However the bytes of a
    /// connection are split, the same ones pass and the same refusal is found.
    pub fn feed(&mut self, unread: &[u8]) -> Fed {
        let mut passed = 0;
        loop {
            let rest = &unread[passed..];
            match self.step(rest) {
                Ok(0) => return Fed { passed, refusal: None },
                Ok(more) => passed += more,
                Err((more, refusal)) => {
                    self.state = State::Refused(refusal);
                    return Fed { passed: passed + more, refusal: Some(refusal) };
                }
            }
        }
    }

    /// Whether all that passed so far are whole requests.
    pub fn is_between_requests(&self) -> bool {
        matches!(self.state, State::Head(_))
    }

    /// Passes the next head or the next piece of a body; nothing where more bytes are needed.
    fn step(&mut self, rest: &[u8]) -> Result<usize, (usize, Refusal)> {
        match &mut self.state {
            State::Refused(refusal) => Err((0, *refusal)),
            State::Head(scan) => {
                let Some(end) = scan.find_end(rest, self.limits).map_err(|refusal| (0, refusal))? else {
                    return Ok(0);
                };
                let framing = head::check(&rest[..end]).map_err(|refusal| (0, refusal))?;
                self.state = match framing {
                    Framing::Length(0) => State::Head(Scan::default()),
                    Framing::Length(length) => State::Length(length),
                    Framing::Chunks => State::Chunks(Chunks::default()),
                };
                Ok(end)
            }
            State::Length(left) => {
                let here = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                *left -= here as u64;
                if *left == 0 {
                    self.state = State::Head(Scan::default());
                }
                Ok(here)
            }
            State::Chunks(chunks) => {
                let here = chunks.read(rest, self.limits)?;
                if chunks.is_at_end() {
                    self.state = State::Head(Scan::default());
                }
                Ok(here)
            }
        }
    }
}
