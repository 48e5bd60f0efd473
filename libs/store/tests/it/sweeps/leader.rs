//! A leader without a plan: it takes whatever it once saw for true, and sleeps between any two orders.

use fundbond_lease::Token;
use fundbond_protocol::PodId;
use fundbond_store::{Buried, Forgotten, Order, Ordered, Store, Stray, StraySwept, Swept};
use rand::{RngExt as _, rngs::SmallRng, seq::IndexedRandom as _};

use crate::scene::cluster;

#[derive(Debug)]
pub(super) struct Leader {
    pub(super) order: Order,
    /// Who had no health when it looked.
    dead: Vec<PodId>,
    /// Whom it takes for buried.
    buried: Vec<PodId>,
    strays: Vec<Stray>,
}

/// What an order did.
#[derive(Debug)]
pub(super) enum Deed {
    Looked,
    Buried(Vec<PodId>),
    Swept,
    Forgot,
    Late,
    Nothing,
}

impl Leader {
    pub(super) fn new(token: u64) -> Self {
        let order = Order { cluster: cluster("k"), token: Token(token) };
        Self { order, dead: Vec::new(), buried: Vec::new(), strays: Vec::new() }
    }

    pub(super) async fn look(&mut self, store: &dyn Store) {
        let seen = store.nodes(&self.order.cluster).await.unwrap().nodes;
        let names = |wanted: fn(&fundbond_store::NodeSeen) -> bool| {
            let mut names: Vec<_> =
                seen.iter().filter(|node| wanted(node)).map(|node| node.pod.clone()).collect();
            names.sort();
            names
        };
        self.dead = names(|node| node.health_age.is_none() && !node.buried);
        self.buried = names(|node| node.buried);
    }

    pub(super) async fn scan(&mut self, store: &dyn Store) {
        self.strays.clear();
        let mut cursor = Some(0);
        while let Some(at) = cursor {
            let page = store.strays(at, 1_000).await.unwrap();
            self.strays.extend(page.strays);
            cursor = page.next;
        }
        self.strays.sort();
        self.strays.dedup();
    }

    /// Does one thing of what it has in hand.
    pub(super) async fn act(&mut self, random: &mut SmallRng, store: &dyn Store) -> Deed {
        match random.random_range(0..10) {
            0 | 1 => {
                self.look(store).await;
                Deed::Looked
            }
            2 => {
                self.scan(store).await;
                Deed::Looked
            }
            3 | 4 => self.bury(store).await,
            5 => self.sweep_strays(store).await,
            6 => {
                let Some(pod) = self.buried.choose(random).cloned() else { return Deed::Nothing };
                self.forget(&pod, store).await
            }
            _ => {
                // It believes that whoever it saw dead was buried, though that answer may have been another.
                let all: Vec<PodId> = self.buried.iter().chain(&self.dead).cloned().collect();
                let Some(pod) = all.choose(random) else { return Deed::Nothing };
                let limit = random.random_range(1..3);
                self.sweep(pod, limit, store).await
            }
        }
    }

    pub(super) async fn bury(&mut self, store: &dyn Store) -> Deed {
        if self.dead.is_empty() {
            return Deed::Nothing;
        }
        match store.bury_nodes(&self.order, &self.dead).await.unwrap() {
            Ordered::Late => Deed::Late,
            Ordered::Done(answers) => {
                let dead = self.dead.iter().zip(answers).filter(|(_, answer)| *answer == Buried::Dead);
                let dead: Vec<_> = dead.map(|(pod, _)| pod.clone()).collect();
                self.buried.extend(dead.iter().cloned());
                Deed::Buried(dead)
            }
        }
    }

    async fn sweep(&self, pod: &PodId, limit: usize, store: &dyn Store) -> Deed {
        match store.sweep(&self.order, pod, limit).await.unwrap() {
            Ordered::Late => Deed::Late,
            Ordered::Done(Swept::NotBuried) => Deed::Nothing,
            Ordered::Done(Swept::Some { .. }) => Deed::Swept,
        }
    }

    async fn forget(&self, pod: &PodId, store: &dyn Store) -> Deed {
        match store.forget(&self.order, pod).await.unwrap() {
            Ordered::Late => Deed::Late,
            Ordered::Done(Forgotten::Done) => Deed::Forgot,
            Ordered::Done(_) => Deed::Nothing,
        }
    }

    async fn sweep_strays(&mut self, store: &dyn Store) -> Deed {
        let Some(first) = self.strays.first().cloned() else { return Deed::Nothing };
        let same = |stray: &Stray| stray.owner == first.owner && stray.cluster == first.cluster;
        let group: Vec<Stray> = self.strays.iter().filter(|stray| same(stray)).cloned().collect();
        self.strays.retain(|stray| !same(stray));
        match store.sweep_strays(&self.order, &group).await.unwrap() {
            Ordered::Late => Deed::Late,
            Ordered::Done(StraySwept::Known) => Deed::Nothing,
            Ordered::Done(StraySwept::Deleted(_)) => {
                Deed::Buried(PodId::parse(&first.owner).ok().into_iter().collect())
            }
        }
    }

    /// Everything there is to do, as often as it takes.
    pub(super) async fn finish(&mut self, store: &dyn Store) {
        for _ in 0..3 {
            self.look(store).await;
            self.bury(store).await;
            for pod in self.buried.clone() {
                while let Ordered::Done(Swept::Some { left: 1.., .. }) =
                    store.sweep(&self.order, &pod, 2).await.unwrap()
                {}
                self.forget(&pod, store).await;
            }
            self.scan(store).await;
            while !self.strays.is_empty() {
                self.sweep_strays(store).await;
            }
        }
    }
}
