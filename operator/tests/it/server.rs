//! Against a real etcd and kube-apiserver. No controller runs there: the tests say what pods do.

pub(crate) mod harness;
mod life;
mod many;
pub(crate) mod process;
mod rights;
mod theirs;
mod trouble;
