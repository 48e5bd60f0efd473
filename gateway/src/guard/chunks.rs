//! Follows a body in chunks to its end.

use super::{
    Limits, Refusal,
    head::{LONGEST, is_control, is_token},
};

/// Where in the chunks of a body one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunks {
    at: At,
    /// Bytes of extensions and trailers so far.
    extras: u32,
    /// Trailers so far.
    fields: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In a size, behind its first digit where there are some.
    Size {
        size: u64,
        any: bool,
    },
    /// In the extensions of a size.
    Extension(u64),
    /// Behind the CR that ends a size.
    SizeEnd(u64),
    /// In the data, so many bytes before its end.
    Data(u64),
    /// Behind the data; behind its CR.
    DataEnd,
    DataFeed,
    /// At the beginning of a line behind the last chunk.
    Line,
    /// In the name, in the value, behind the CR of a trailer.
    Name,
    Value,
    TrailerFeed,
    /// Behind the CR of the empty line that ends it all.
    LastFeed,
    End,
}

impl Default for At {
    fn default() -> Self {
        Self::Size { size: 0, any: false }
    }
}

impl Chunks {
    pub(super) fn is_at_end(&self) -> bool {
        self.at == At::End
    }

    /// Reads on, at most to the end of the body. How much was read, also where the next byte is wrong.
    pub(super) fn read(&mut self, bytes: &[u8], limits: Limits) -> Result<usize, (usize, Refusal)> {
        let mut read = 0;
        while read < bytes.len() && self.at != At::End {
            let rest = &bytes[read..];
            if let At::Data(left) = self.at {
                let here = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                let left = left - here as u64;
                self.at = if left == 0 { At::DataEnd } else { At::Data(left) };
                read += here;
                continue;
            }
            self.at = self.after(rest[0], limits).map_err(|refusal| (read, refusal))?;
            read += 1;
        }
        Ok(read)
    }

    /// Where one is behind `byte`.
    fn after(&mut self, byte: u8, limits: Limits) -> Result<At, Refusal> {
        let is_text = byte == b'\t' || !is_control(byte);
        match (self.at, byte) {
            (At::Size { size, any }, _) if byte.is_ascii_hexdigit() => {
                if any && size == 0 {
                    // Zeros before a size have no end of their own.
                    self.count(limits)?;
                }
                let digit = char::from(byte).to_digit(16).map(u64::from);
                let size = digit.and_then(|digit| size.checked_mul(16)?.checked_add(digit));
                Ok(At::Size { size: size.filter(|&size| size <= LONGEST).ok_or(Refusal::Chunk)?, any: true })
            }
            (At::Size { size, any: true }, b';') => Ok(At::Extension(size)),
            (At::Size { size, any: true } | At::Extension(size), b'\r') => Ok(At::SizeEnd(size)),
            (At::Extension(size), _) if is_text => self.count(limits).map(|()| At::Extension(size)),
            (At::SizeEnd(size), b'\n') if size > 0 => Ok(At::Data(size)),
            (At::DataEnd, b'\r') => Ok(At::DataFeed),
            (At::DataFeed, b'\n') => Ok(At::default()),
            (At::SizeEnd(_) | At::TrailerFeed, b'\n') => Ok(At::Line),
            (At::Line, b'\r') => Ok(At::LastFeed),
            (At::LastFeed, b'\n') => Ok(At::End),
            (At::Line, _) if is_of_name(byte) => {
                self.fields += 1;
                let is_many = self.fields > limits.fields;
                if is_many { Err(Refusal::ChunkLimits) } else { self.count(limits).map(|()| At::Name) }
            }
            (At::Name, _) if is_of_name(byte) => self.count(limits).map(|()| At::Name),
            (At::Name, b':') => Ok(At::Value),
            (At::Value, b'\r') => Ok(At::TrailerFeed),
            (At::Value, _) if is_text => self.count(limits).map(|()| At::Value),
            (_, b'\n') => Err(Refusal::ChunkLineFeed),
            (At::Line | At::Name | At::Value | At::TrailerFeed | At::LastFeed, _) => Err(Refusal::Trailer),
            _ => Err(Refusal::Chunk),
        }
    }

    fn count(&mut self, limits: Limits) -> Result<(), Refusal> {
        self.extras += 1;
        if self.extras > limits.head_bytes { Err(Refusal::ChunkLimits) } else { Ok(()) }
    }
}

/// Bytes of a header name; none has an underscore.
fn is_of_name(byte: u8) -> bool {
    is_token(byte) && byte != b'_'
}
