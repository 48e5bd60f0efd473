//! The objects of a file, and where in it each of their fields is.

use std::sync::Arc;

use fundbond_crds::check::parts;
use serde::Deserialize as _;
use serde_json::Value;

use super::locate;

/// A text with documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// How the command line calls it.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// One object as it was written.
#[derive(Clone, Debug)]
pub struct Document {
    file: Arc<str>,
    text: Arc<str>,
    /// Which of the documents of its file.
    index: usize,
    /// The fields above it in that document: an object of a List has some.
    above: Vec<String>,
    /// What it says.
    pub value: Value,
}

/// A text that is not YAML. JSON is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The line, where the parser knows it.
    pub line: Option<usize>,
    /// What is wrong there.
    pub why: String,
}

impl Document {
    /// The objects of `file`, those of a List one by one; up to where it is malformed, if it is.
    pub fn all(file: &File) -> (Vec<Self>, Option<Malformed>) {
        let (name, text): (Arc<str>, Arc<str>) = (file.name.as_str().into(), file.text.as_str().into());
        let mut documents = Vec::new();
        for (index, document) in yaml_serde::Deserializer::from_str(&file.text).enumerate() {
            let value = match yaml_serde::Value::deserialize(document).and_then(json) {
                // What stands between two `---`, or behind the last one.
                Ok(Value::Null) => continue,
                Ok(value) => value,
                Err(error) => return (documents, Some(Malformed::of(&error))),
            };
            let document = Self { file: name.clone(), text: text.clone(), index, above: Vec::new(), value };
            document.spread(&mut documents);
        }
        (documents, None)
    }

    /// Adds the object, or those it lists.
    fn spread(self, documents: &mut Vec<Self>) {
        let items = self.value.get("items").and_then(Value::as_array);
        let is_list = self.kind().is_some_and(|kind| kind.ends_with("List"));
        let Some(items) = items.filter(|_| is_list) else { return documents.push(self) };
        for (index, value) in items.iter().enumerate() {
            let above = ["items".to_owned(), index.to_string()];
            let above = self.above.iter().cloned().chain(above).collect();
            Self { above, value: value.clone(), ..self.clone() }.spread(documents);
        }
    }

    /// The file that it is in.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line of `field`, or of the field above it that is there; from 1.
    pub fn line(&self, field: &str) -> Option<usize> {
        let path = self.above.iter().map(String::as_str).chain(parts(field)).collect::<Vec<_>>();
        locate::line(&self.text, self.index, &path)
    }

    /// What it is.
    pub fn kind(&self) -> Option<&str> {
        self.value.get("kind")?.as_str()
    }

    /// Of which API.
    pub fn api_version(&self) -> Option<&str> {
        self.value.get("apiVersion")?.as_str()
    }

    /// Its name.
    pub fn name(&self) -> Option<&str> {
        self.value.pointer("/metadata/name")?.as_str()
    }

    /// Its namespace, where it names one.
    pub fn namespace(&self) -> Option<&str> {
        self.value.pointer("/metadata/namespace")?.as_str()
    }

    /// It, in the words of people: `FundCluster funds/cluster1`.
    pub fn title(&self) -> String {
        let kind = self.kind().unwrap_or("an object");
        match (self.namespace(), self.name()) {
            (Some(namespace), Some(name)) => format!("{kind} {namespace}/{name}"),
            (None, Some(name)) => format!("{kind} {name}"),
            (_, None) => format!("{kind} without a name"),
        }
    }
}

impl Malformed {
    fn of(error: &yaml_serde::Error) -> Self {
        let line = error.location().map(|location| location.line());
        Self { line, why: error.to_string() }
    }
}

/// As a server sees it: with what is written once and meant again in its places.
fn json(mut value: yaml_serde::Value) -> Result<Value, yaml_serde::Error> {
    use serde::de::Error as _;
    value.apply_merge()?;
    serde_json::to_value(value).map_err(yaml_serde::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> (Vec<Document>, Option<Malformed>) {
        Document::all(&File { name: "f.yaml".into(), text: text.into() })
    }

    #[test]
    fn a_file_has_many_documents_and_a_list_has_many_objects() {
        let (found, malformed) = all(
            "---\n# nothing\n---\nkind: A\nmetadata: {name: one}\n---\nkind: List\nitems:\n- kind: B\n  metadata:\n    \
             name: two\n    namespace: n\n- kind: C\n",
        );
        assert_eq!(malformed, None);
        let titles: Vec<_> = found.iter().map(Document::title).collect();
        assert_eq!(titles, ["A one", "B n/two", "C without a name"]);
        assert_eq!(found[0].line("metadata.name"), Some(5));
        assert_eq!(found[1].line("metadata.namespace"), Some(12));
        assert_eq!(found[2].line("metadata.name"), Some(13), "what is above it");
    }

    #[test]
    fn json_is_read_as_well_and_merges_are_made() {
        let (found, malformed) = all("{\"kind\": \"A\",\n \"spec\": {\"x\": 1}}");
        assert_eq!((found.len(), malformed), (1, None));
        assert_eq!(found[0].line("spec.x"), Some(2));
        let (found, _) = all("base: &b {x: 1}\nspec:\n  <<: *b\n  y: 2\n");
        assert_eq!(found[0].value["spec"], serde_json::json!({"x": 1, "y": 2}));
    }

    #[test]
    fn what_is_malformed_has_a_line_and_what_was_before_it_counts() {
        let (found, malformed) = all("kind: A\n---\nkind: B\nspec: [1\nmore: 2\n");
        assert_eq!(found.len(), 1);
        assert_eq!(malformed.unwrap().line, Some(5));
        let (found, malformed) = all("kind: A\nspec: {x: 1, x: 2}\n");
        assert_eq!(found.len(), 0);
        assert!(malformed.unwrap().why.contains("duplicate entry"));
    }
}
