//! What every place for a lease must do, wherever it is: a test that each of them runs.

use crate::{Expected, LeaseError, LeaseStore, Stored, Version, Written};

fn done(written: Written) -> Version {
    match written {
        Written::Done(version) => version,
        Written::Conflict => panic!("nothing stood in the way"),
    }
}

fn stored(holder: Option<&str>, version: Version) -> Stored {
    Stored { holder: holder.map(Into::into), version }
}

/// Over `one` and `other`, two ways to the same lease, which is not there yet and which `delete` deletes: a write is done
/// over what it expects and over nothing else, a reader sees the last one, and each makes a greater version.
///
/// # Errors
/// The place could not be reached.
///
/// # Panics
/// Where it does not hold.
pub async fn a_lease_is_written_over_what_was_seen_and_nothing_else(
    one: &dyn LeaseStore,
    other: &dyn LeaseStore,
    delete: impl AsyncFn(),
) -> Result<(), LeaseError> {
    assert_eq!(one.read().await?, None);
    assert_eq!(
        one.write(Some("a"), Expected::Version(Version(1))).await?,
        Written::Conflict,
        "there is none"
    );
    assert_eq!(one.read().await?, None);
    let made = done(one.write(Some("a"), Expected::Absent).await?);
    assert_eq!(other.read().await?, Some(stored(Some("a"), made)));
    assert_eq!(other.write(Some("b"), Expected::Absent).await?, Written::Conflict, "there is one");
    let renewed = done(one.write(Some("a"), Expected::Version(made)).await?);
    assert!(renewed > made);
    assert_eq!(other.write(Some("b"), Expected::Version(made)).await?, Written::Conflict, "it was renewed");
    assert_eq!(one.write(Some("a"), Expected::Version(made)).await?, Written::Conflict, "by itself as well");
    assert_eq!(other.read().await?, Some(stored(Some("a"), renewed)), "nothing happened");
    // Whoever never read it may write over it all the same, if it knows what stands there.
    let given = done(other.write(None, Expected::Version(renewed)).await?);
    assert!(given > renewed);
    assert_eq!(one.read().await?, Some(stored(None, given)));
    let taken = done(other.write(Some("b"), Expected::Version(given)).await?);
    assert_eq!(
        one.write(Some("a"), Expected::Version(given)).await?,
        Written::Conflict,
        "somebody was faster"
    );
    // Deleted under its holder, it is not there for anybody, and comes back under a greater version.
    delete().await;
    assert_eq!(other.write(Some("b"), Expected::Version(taken)).await?, Written::Conflict, "it is not there");
    assert_eq!(one.read().await?, None);
    let anew = done(one.write(Some("a"), Expected::Absent).await?);
    assert!(anew > taken, "{anew:?} after {taken:?}");
    assert_eq!(
        other.write(Some("b"), Expected::Version(taken)).await?,
        Written::Conflict,
        "it is another one"
    );
    assert_eq!(other.read().await?, Some(stored(Some("a"), anew)));
    Ok(())
}
