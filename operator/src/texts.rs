//! Many texts that are much alike, each kept as what it has beyond the first.
//!
//! FundClusters differ in a few words; what the server fills in and what the operator tells them is nearly the same in all.
//! As a text, one takes a tenth of what it takes as a tree, and beside another a fifth of that.

use std::sync::Arc;

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};

/// What all texts are kept beside: the first of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts(Option<Arc<[u8]>>);

/// A text as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Kept(Box<[u8]>);

impl Texts {
    pub(crate) fn keep(&mut self, text: &[u8]) -> Kept {
        let first = self.0.get_or_insert_with(|| text.into());
        Kept(compress_prepend_size_with_dict(text, first).into_boxed_slice())
    }

    /// What was kept by these.
    pub(crate) fn read(&self, kept: &Kept) -> Vec<u8> {
        let first = self.0.as_deref().unwrap_or_default();
        decompress_size_prepended_with_dict(&kept.0, first).expect("it is kept as it was made")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::cluster;

    #[test]
    fn what_is_read_is_what_was_kept() {
        let mut texts = Texts::default();
        let of = |spec: &Value| serde_json::to_vec(&cluster(spec)).unwrap();
        let all =
            [of(&json!({})), of(&json!({"pods": {"replicas": 9}})), Vec::new(), b"another thing".to_vec()];
        let kept: Vec<_> = all.iter().map(|text| texts.keep(text)).collect();
        for (text, kept) in all.iter().zip(&kept) {
            assert_eq!(texts.read(kept), *text);
        }
        let (whole, beside) = (all[1].len(), kept[1].0.len());
        assert!(beside * 5 < whole, "{beside} of {whole} bytes");
    }
}
