//! Which store: the one word of configuration that programs share.

use std::{fmt, str::FromStr, sync::Arc};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

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

/// Why credentials do not go with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwanted {
    /// A store in memory asks nobody who he is.
    #[error("a store in memory takes no user and no password: name a Redis, or leave them out")]
    Memory,
    /// Two answers to one question.
    #[error("the address of the store has credentials already: give them there or beside it, not both")]
    Twice,
    /// The address is the path of a socket.
    #[error(
        "the address of a socket takes no user and no password beside it: write ?user=...&pass=... behind it"
    )]
    Socket,
    /// Redis takes no user without a password.
    #[error("a user of the store needs a password")]
    NoPassword,
}

impl StoreAddress {
    /// The address with a user and a password that were given apart from it, so that neither has to be encoded by hand.
    ///
    /// # Errors
    /// [`Unwanted`], where the address has no place for them.
    pub fn with_credentials(self, user: Option<&str>, password: Option<&str>) -> Result<Self, Unwanted> {
        let (user, password) = match (user, password) {
            (None, None) => return Ok(self),
            (Some(_), None) => return Err(Unwanted::NoPassword),
            (user, Some(password)) => (user.unwrap_or_default(), password),
        };
        let Self::Redis(url) = self else { return Err(Unwanted::Memory) };
        let (scheme, rest) = url.split_once("://").ok_or(Unwanted::Socket)?;
        if scheme.contains("unix") {
            return Err(Unwanted::Socket);
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(Unwanted::Twice);
        }
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        Ok(Self::Redis(format!("{scheme}://{}:{}@{rest}", encoded(user), encoded(password))))
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
    fn credentials_beside_an_address_need_no_encoding() {
        use ::redis::IntoConnectionInfo as _;

        let at = |url: &str| StoreAddress::Redis(url.to_owned());
        for (user, password) in [(Some("desk"), "p@ss:/%?# \u{fc}"), (None, "secret")] {
            let address = at("redis://host:6380/2").with_credentials(user, Some(password)).unwrap();
            let StoreAddress::Redis(url) = &address else { panic!("{address}") };
            let info = url.as_str().into_connection_info().unwrap();
            let settings = info.redis_settings();
            assert_eq!((settings.username(), settings.password()), (user, Some(password)), "{url}");
            assert_eq!((info.addr().to_string().as_str(), settings.db()), ("host:6380", 2));
            assert_eq!(address.to_string(), "redis://***@host:6380/2");
        }
        assert_eq!(at("redis://host").with_credentials(None, None), Ok(at("redis://host")));
        for (address, user, password, why) in [
            (at("redis://host"), Some("desk"), None, Unwanted::NoPassword),
            (at("redis://:other@host"), None, Some("secret"), Unwanted::Twice),
            (at("redis+unix:///run/redis.sock"), None, Some("secret"), Unwanted::Socket),
            (StoreAddress::Memory, None, Some("secret"), Unwanted::Memory),
        ] {
            assert_eq!(address.with_credentials(user, password), Err(why));
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let address: StoreAddress = "redis://user:secret@host:6379/2".parse().unwrap();
        assert_eq!(format!("{address} {address:?}"), "redis://***@host:6379/2 redis://***@host:6379/2");
    }
}
