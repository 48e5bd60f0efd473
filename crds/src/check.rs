//! What an API server would say to an object, without one.
//!
//! First the shape: types, bounds, fields that nobody knows. Where that is right, defaults are filled in and the rules
//! between fields are asked, as a server does it. What a server does not say: what to write instead.

mod fix;
mod unknown;

use fundbond_protocol::FieldProblem;
use jsonschema::{ValidationError, error::ValidationErrorKind};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_core::cel::{CompiledSchema, ErrorKind, Validator, compile_schema};
use serde_json::Value;

/// What judges the objects of one kind.
#[derive(Debug)]
pub struct Checker {
    schema: Value,
    shape: jsonschema::Validator,
    rules: CompiledSchema,
    evaluator: Validator,
}

impl Checker {
    /// For the objects of `definition`, one of [`crate::definitions`].
    ///
    /// # Panics
    /// Where it is no definition; tests see to that.
    pub fn of(definition: &CustomResourceDefinition) -> Self {
        let schema = schema(definition);
        let shape = jsonschema::validator_for(&schema).expect("the schema of a definition is a schema");
        Self { rules: compile_schema(&schema), shape, schema, evaluator: Validator::new() }
    }

    /// What is wrong with `object`, as it was written, shape before rules; for a change, what the change does wrong.
    pub fn check(&self, object: &Value, old: Option<&Value>) -> Vec<FieldProblem> {
        let mut object = object.clone();
        unknown::drop_nulls(&self.schema, &mut object);
        let mut problems = unknown::fields(&self.schema, &object);
        problems.extend(self.shape.iter_errors(&object).map(|error| problem(&error)));
        if problems.is_empty() {
            problems.extend(self.rules(&object, old));
        }
        problems
    }

    /// What to do about a problem that [`check`](Self::check) found with `object`.
    pub fn fix(&self, object: &Value, problem: &FieldProblem) -> String {
        fix::of(&self.schema, object, problem)
    }

    fn rules(&self, object: &Value, old: Option<&Value>) -> Vec<FieldProblem> {
        let Err(errors) = self.evaluator.validate_compiled(&self.rules, object, old) else {
            return Vec::new();
        };
        let problems = errors.iter().map(|error| {
            let message = match error.kind {
                ErrorKind::ValidationFailure => error.message.clone(),
                _ => format!("the rule `{}` cannot be asked: {}", error.rule, error.message),
            };
            FieldProblem { field: error.field_path.clone(), message }
        });
        problems.collect()
    }
}

/// The schema of a definition's only version.
fn schema(definition: &CustomResourceDefinition) -> Value {
    let schema = definition.spec.versions.first().and_then(|version| version.schema.as_ref());
    let schema = schema.and_then(|schema| schema.open_api_v3_schema.as_ref());
    serde_json::to_value(schema).expect("a schema is JSON")
}

/// Named as a server names it: what is missing is wrong with the field that is not there, not with the one around it.
fn problem(error: &ValidationError<'_>) -> FieldProblem {
    let pointer = error.instance_path().as_str();
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            FieldProblem { field: field(&format!("{pointer}/{name}")), message: "Required value".to_owned() }
        }
        _ => FieldProblem { field: field(pointer), message: error.to_string() },
    }
}

/// `spec.routing.shardGroups.groups[0].name` as its parts.
pub fn parts(field: &str) -> impl Iterator<Item = &str> {
    field.split(['.', '[']).map(|part| part.trim_end_matches(']')).filter(|part| !part.is_empty())
}

/// `/spec/routing/shardGroups/groups/0/name` as people write it: `spec.routing.shardGroups.groups[0].name`.
fn field(pointer: &str) -> String {
    let mut field = String::new();
    for part in pointer.split('/').skip(1) {
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty() {
            field.push('[');
            field.push_str(part);
            field.push(']');
        } else {
            if !field.is_empty() {
                field.push('.');
            }
            field.push_str(&part.replace("~1", "/").replace("~0", "~"));
        }
    }
    field
}
