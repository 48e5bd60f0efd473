//! Why manifests cannot be worked with.

use std::fmt;

/// Why manifests cannot be worked with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A folder has no manifest.
    #[error("{folder} has no file that ends in .yaml, .yml or .json")]
    NoFile {
        /// Which.
        folder: String,
        /// Whether it was looked for in folders below as well.
        recursive: bool,
    },
    /// No file has an object that this program knows.
    #[error("no FundCluster in {files}")]
    NoCluster {
        /// Which files.
        files: String,
    },
    /// A server would refuse some objects, or a person would regret them.
    #[error("{}", refused(*.errors, *.warnings, *.strict))]
    Refused {
        /// How many mistakes there are.
        errors: usize,
        /// And how many warnings.
        warnings: usize,
        /// Whether those count.
        strict: bool,
    },
    /// There is nothing to compare with.
    #[error("FundCluster {name} is not in {against}, so there is nothing to compare it with")]
    NoOther {
        /// Its name.
        name: String,
        /// Where it was looked for.
        against: String,
    },
    /// A change that a server would refuse.
    #[error("the change of FundCluster {name} would be refused: {field}: {why}")]
    Change {
        /// Its name.
        name: String,
        /// Of which field.
        field: String,
        /// What the server would say.
        why: String,
    },
    /// A mesh has no Gateway to attach objects to.
    #[error("FundCluster {name} names no Gateway that {target} objects could be attached to")]
    NoGateway {
        /// Its name.
        name: String,
        /// The mesh.
        target: &'static str,
    },
    /// The names of pods do not fit the groups.
    #[error("--endpoints: {0}")]
    Endpoints(String),
}

impl ManifestError {
    /// What to do next.
    pub fn next(&self, program: &str) -> String {
        match self {
            Self::NoFile { recursive: false, .. } => "name a file, or add -R for folders below".to_owned(),
            Self::NoFile { .. } => "name a file or another folder".to_owned(),
            Self::NoCluster { .. } => {
                "name a file with an object of kind FundCluster; kubectl get fundcluster NAME -o yaml shows one"
                    .to_owned()
            }
            Self::Refused { .. } => format!("correct them as it says behind \"fix\", then {program} lint again"),
            Self::NoOther { .. } => {
                format!("is it new? {program} render shows what becomes of it; else check its name and namespace")
            }
            Self::Change { .. } => "take the change back, or delete the FundCluster and create another".to_owned(),
            Self::NoGateway { .. } => "name it with --gateway [NAMESPACE/]NAME".to_owned(),
            Self::Endpoints(_) => "write --endpoints 3, --endpoints a,b,c or --endpoints GROUP=3".to_owned(),
        }
    }
}

fn refused(errors: usize, warnings: usize, strict: bool) -> String {
    let both = format!("{} and {}", Count(errors, "error"), Count(warnings, "warning"));
    match (errors, warnings) {
        (_, 0) => Count(errors, "error").to_string(),
        (0, _) if strict => format!("{}, and --strict", Count(warnings, "warning")),
        _ => both,
    }
}

/// `1 error`, `2 errors`.
pub(super) struct Count(pub(super) usize, pub(super) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}
