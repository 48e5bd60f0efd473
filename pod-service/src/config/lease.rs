//! Where the lease of the cluster's housekeeper is kept.

use std::str::FromStr;

use fundbond_store::StoreAddress;

/// Where the lease is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeasePlace {
    /// With everything else. Also in a pod of Kubernetes: there, a lease of its own kind needs rights that a pod has only
    /// where somebody gave them, and whoever gives them says so here.
    #[default]
    Auto,
    /// In Kubernetes.
    Kubernetes,
    /// In the Redis of the store.
    Redis,
    /// In this process.
    Memory,
}

/// A lease that is not where the store is.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseMisplaced {
    /// Without a Redis there is none to keep it.
    #[error("--lease redis needs a Redis: give --store redis://..., or --lease auto")]
    NoRedis,
    /// Then each pod would lead by itself.
    #[error(
        "--lease memory is for one process alone, and --store names a Redis that others use too: give --lease auto"
    )]
    NotShared,
    /// Then whoever leads would look after its own store, and after nobody else's.
    #[error(
        "--lease kubernetes is for pods that share a store, and this one has its own: give --store redis://..., or \
         --lease auto"
    )]
    NothingShared,
}

impl LeasePlace {
    /// Whether the lease can be there beside such a store.
    ///
    /// # Errors
    /// Why not.
    pub fn fits(self, store: &StoreAddress) -> Result<(), LeaseMisplaced> {
        match (self, store) {
            (Self::Redis, StoreAddress::Memory) => Err(LeaseMisplaced::NoRedis),
            (Self::Memory, StoreAddress::Redis(_)) => Err(LeaseMisplaced::NotShared),
            (Self::Kubernetes, StoreAddress::Memory) => Err(LeaseMisplaced::NothingShared),
            _ => Ok(()),
        }
    }
}

impl FromStr for LeasePlace {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "redis" => Ok(Self::Redis),
            "memory" => Ok(Self::Memory),
            "kubernetes" => Ok(Self::Kubernetes),
            _ => Err("give auto, kubernetes, redis or memory".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_kept_where_the_store_is() {
        let redis: StoreAddress = "redis://127.0.0.1".parse().unwrap();
        let check = |place: &str, store: &StoreAddress| place.parse::<LeasePlace>().unwrap().fits(store);
        assert_eq!(check("auto", &redis), Ok(()));
        assert_eq!(check("auto", &StoreAddress::Memory), Ok(()));
        assert_eq!(check("redis", &redis), Ok(()));
        assert_eq!(check("memory", &StoreAddress::Memory), Ok(()));
        assert_eq!(check("kubernetes", &redis), Ok(()));
        assert_eq!(check("kubernetes", &StoreAddress::Memory), Err(LeaseMisplaced::NothingShared));
        assert_eq!(check("redis", &StoreAddress::Memory), Err(LeaseMisplaced::NoRedis));
        assert_eq!(check("memory", &redis), Err(LeaseMisplaced::NotShared));
    }

    #[test]
    fn a_place_that_does_not_exist_is_refused_with_one_that_does() {
        assert!("etcd".parse::<LeasePlace>().unwrap_err().contains("auto, kubernetes, redis or memory"));
    }
}
