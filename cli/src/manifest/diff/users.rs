//! Whom to follow.

use std::{fs, net::IpAddr, path::PathBuf, str::FromStr};

use crate::error::Error;

/// More are no better estimate, and a document of all who move would be too long.
const MOST: u64 = 1_000_000;

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// As requests name them.
    pub id: String,
    /// Where their requests come from, if that is known.
    pub address: Option<IpAddr>,
}

/// Users as the command line names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Users {
    /// Numbers, both included.
    Range(u64, u64),
    /// One id a line, and the address of the client behind it.
    File(PathBuf),
}

impl FromStr for Users {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((first, last)) = text.split_once("..") else { return Ok(Self::File(text.into())) };
        let (Ok(first), Ok(last)) = (first.parse::<u64>(), last.trim_start_matches('=').parse::<u64>())
        else {
            return Ok(Self::File(text.into()));
        };
        if first > last {
            return Err(format!("{first} is greater than {last}"));
        }
        if last - first >= MOST {
            return Err(format!("at most {MOST} users can be followed"));
        }
        Ok(Self::Range(first, last))
    }
}

impl Users {
    /// All of them.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it is none.
    pub fn all(&self) -> Result<Vec<User>, Error> {
        match self {
            Self::Range(first, last) => {
                Ok((*first..=*last).map(|id| User { id: id.to_string(), address: None }).collect())
            }
            Self::File(path) => {
                let file = path.display().to_string();
                let text =
                    fs::read_to_string(path).map_err(|source| Error::Read { file: file.clone(), source })?;
                lines(&text).map_err(|why| Error::Usage(format!("--users {file}: {why}")))
            }
        }
    }
}

fn lines(text: &str) -> Result<Vec<User>, String> {
    let mut users = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut words = line.split_whitespace();
        let Some(id) = words.next() else { continue };
        let address = words.next().map(|word| {
            word.parse::<IpAddr>().map_err(|_| format!("line {}: {word:?} is no address", number + 1))
        });
        if let Some(more) = words.next() {
            return Err(format!("line {}: {more:?} is one word too many; write ID [ADDRESS]", number + 1));
        }
        users.push(User { id: id.to_owned(), address: address.transpose()? });
    }
    if users.is_empty() { Err("has no user".to_owned()) } else { Ok(users) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_both_its_ends_and_anything_else_is_a_file() {
        assert_eq!("0..9".parse(), Ok(Users::Range(0, 9)));
        assert_eq!("5..=5".parse(), Ok(Users::Range(5, 5)));
        assert_eq!("../users.txt".parse(), Ok(Users::File("../users.txt".into())));
        assert!("9..0".parse::<Users>().is_err() && "0..1000000".parse::<Users>().is_err());
        let ids: Vec<_> = Users::Range(1, 3).all().unwrap().into_iter().map(|user| user.id).collect();
        assert_eq!(ids, ["1", "2", "3"]);
    }

    #[test]
    fn a_line_is_an_id_and_perhaps_an_address() {
        let users = lines("u-1 10.0.0.7\n\n  u-2\nu-3 2001:db8::1\n").unwrap();
        assert_eq!(users.len(), 3);
        assert_eq!(users[0].address, Some("10.0.0.7".parse().unwrap()));
        assert_eq!((users[1].id.as_str(), users[1].address), ("u-2", None));
        assert!(lines("u-1 here").unwrap_err().contains("line 1") && lines("u 1.2.3.4 x").is_err());
        assert!(lines("\n").is_err());
    }
}
