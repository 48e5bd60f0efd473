//! Against a real etcd and kube-apiserver. No controller runs there: the tests say what pods do.

mod harness;
mod life;
mod many;
mod process;
mod rights;
mod trouble;
