//! Which store: the one word of configuration that programs share.

use std::{fmt, str::FromStr, sync::Arc};

use crate::{MemoryStore, RedisStore, Store, redis};

/// `memory`, or the address of a Redis.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum StoreAddress {
    /// In this process, gone with it.
    #[default]
    Memory,
    /// On a Redis.
    Redis(String),
}

impl StoreAddress {
    /// Opens a store there. Every store in memory is one of its own; on a Redis all are one. Must be called
    /// inside a Tokio runtime.
    ///
    /// # Errors
    /// Where the address names no Redis; whether there is one shows at the first step.
    pub fn open(&self) -> Result<Arc<dyn Store>, redis::AddressError> {
        Ok(match self {
            Self::Memory => Arc::new(MemoryStore::new()),
            Self::Redis(url) => Arc::new(RedisStore::new(&redis::Config::at(url))?),
        })
    }
}

impl FromStr for StoreAddress {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "memory" {
            return Ok(Self::Memory);
        }
        match redis::check(text) {
            Ok(()) => Ok(Self::Redis(text.to_owned())),
            Err(error) => Err(format!("neither `memory` nor an address: {error}")),
        }
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            // An address may hold a password.
            Self::Redis(url) => match (url.split_once("://"), url.rsplit_once('@')) {
                (Some((scheme, _)), Some((_, host))) => write!(f, "{scheme}://***@{host}"),
                _ => f.write_str(url),
            },
        }
    }
}

impl fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_memory_or_a_redis() {
        assert_eq!("memory".parse(), Ok(StoreAddress::Memory));
        for url in ["redis://127.0.0.1:6379", "redis://user:secret@host/2", "redis+unix:///run/redis.sock"] {
            assert_eq!(url.parse(), Ok(StoreAddress::Redis(url.to_owned())));
        }
        for wrong in ["", "Memory", "127.0.0.1:6379", "http://127.0.0.1", "redis://", "redis://host:port"] {
            let error = wrong.parse::<StoreAddress>().unwrap_err();
            assert!(error.contains("redis://127.0.0.1:6379"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let address: StoreAddress = "redis://user:secret@host:6379/2".parse().unwrap();
        assert_eq!(format!("{address} {address:?}"), "redis://***@host:6379/2 redis://***@host:6379/2");
    }
}
