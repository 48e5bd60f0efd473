//! Making, replacing, changing and applying objects.
//!
//! Flow of each: what is asked for is understood -> the object as it would be, with defaults -> what is not the writer's to
//! say comes from what is there -> rules -> who owns what -> it is kept, unless nothing is different.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    apply::{
        Refused, Writer,
        managers::{self, Manager, Managers, Operation},
    },
    call::{Call, Patch},
    defaults,
    failure::Failure,
    object::{self, Place, Stored, drop_nulls, finalizers, meta, metadata, set},
    resources::{Generation, Resource},
    state::{Answer, Answered, State},
    verbs::rules,
};

/// What of metadata only the server says.
const OF_THE_SERVER: [&str; 6] =
    ["uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"];

impl State {
    pub(super) fn create(&mut self, call: &Call) -> Result<Answer, Failure> {
        let resource = self.resource(call.kind);
        let mut new = body(&resource, call)?;
        if meta(&new, "resourceVersion").is_some() {
            return Err(Failure::new(
                500,
                "InternalError",
                "resourceVersion should not be set on objects to be created",
            ));
        }
        if meta(&new, "name").is_none() {
            let Some(prefix) = meta(&new, "generateName").map(ToOwned::to_owned) else {
                let cause =
                    ("metadata.name".into(), "Required value: name or generateName is required".into());
                return Err(Failure::invalid(&resource, "", vec![cause]));
            };
            let name = format!("{prefix}{}", self.name_end());
            metadata(&mut new).insert("name".to_owned(), name.into());
        }
        let place = Place::new(&call.place.namespace, meta(&new, "name").unwrap_or_default());
        if self.store.get(call.kind, &place).is_some() {
            return Err(Failure::exists(&resource, &place.name));
        }
        metadata(&mut new).remove("managedFields");
        self.make(call, &resource, place, new, Vec::new(), None)
    }

    pub(super) fn replace(&mut self, call: &Call) -> Result<Answer, Failure> {
        let resource = self.resource(call.kind);
        let name = &call.place.name;
        let mut new = body(&resource, call)?;
        named(call, &new)?;
        let Some(stored) = self.store.get(call.kind, &call.place).cloned() else {
            if !resource.created_by_replacing || call.status {
                return Err(Failure::not_found(&resource, name));
            }
            if let Some(uid) = meta(&new, "uid") {
                return Err(precondition(&resource, name, uid, ""));
            }
            metadata(&mut new).remove("managedFields");
            return self.make(call, &resource, call.place.clone(), new, Vec::new(), None);
        };
        if let Some(uid) = meta(&new, "uid")
            && *uid != *stored.uid
        {
            return Err(precondition(&resource, name, uid, &stored.uid));
        }
        if !resource.replaced_blindly && meta(&new, "resourceVersion").is_none() {
            let cause = (
                "metadata.resourceVersion".into(),
                "Invalid value: 0: must be specified for an update".into(),
            );
            return Err(Failure::invalid(&resource, name, vec![cause]));
        }
        let given = managers::read(metadata(&mut new).remove("managedFields"));
        let given = given.filter(|given| !given.is_empty() && !call.status);
        self.change(call, &resource, &stored, new, given)
    }

    pub(super) fn patch(&mut self, call: &Call) -> Result<Answer, Failure> {
        let resource = self.resource(call.kind);
        if call.patch == Patch::Apply {
            return self.apply(call, &resource);
        }
        let stored = self.store.get(call.kind, &call.place).cloned();
        let stored = stored.ok_or_else(|| Failure::not_found(&resource, &call.place.name))?;
        let patch = parsed(&call.body)?;
        let mut new = stored.value();
        metadata(&mut new).remove("managedFields");
        merge(&mut new, patch);
        named(call, &new)?;
        self.change(call, &resource, &stored, new, None)
    }

    /// What comes of what is there when it becomes `new`, which is the writer's from there on.
    fn change(
        &mut self,
        call: &Call,
        resource: &Resource,
        stored: &Arc<Stored>,
        new: Value,
        given: Option<Managers>,
    ) -> Result<Answer, Failure> {
        let (old, owned) = read(stored);
        let new = settled(resource, call, &old, new)?;
        let writer = self.writer(call, resource, Operation::Update);
        let managers = writer.update(&old, &new, given.unwrap_or_else(|| owned.clone()));
        Ok(self.keep(call, stored, (old, owned), new, managers))
    }

    fn apply(&mut self, call: &Call, resource: &Resource) -> Result<Answer, Failure> {
        let name = &call.place.name;
        let configuration = configuration(resource, call)?;
        let writer = self.writer(call, resource, Operation::Apply);
        let Some(stored) = self.store.get(call.kind, &call.place).cloned() else {
            if call.status {
                return Err(Failure::not_found(resource, name));
            }
            if let Some(uid) = meta(&configuration, "uid") {
                let why = format!(
                    "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                );
                return Err(Failure::conflict(resource, name, &why));
            }
            let applied = writer.apply(&resource.empty, &configuration, Vec::new(), call.query.force);
            let (new, managers) = applied.map_err(|refused| refusal(resource, name, refused))?;
            return self.make(call, resource, call.place.clone(), new, managers, Some(Operation::Apply));
        };
        let (old, owned) = read(&stored);
        let applied = writer.apply(&old, &configuration, owned.clone(), call.query.force);
        let (mut new, managers) = applied.map_err(|refused| refusal(resource, name, refused))?;
        // What was not said is not asked about.
        if meta(&configuration, "resourceVersion").is_none() {
            metadata(&mut new).remove("resourceVersion");
        }
        let new = settled(resource, call, &old, new)?;
        Ok(self.keep(call, &stored, (old, owned), new, managers))
    }

    /// Keeps an object that was not there.
    fn make(
        &mut self,
        call: &Call,
        resource: &Resource,
        place: Place,
        mut new: Value,
        mut managers: Managers,
        operation: Option<Operation>,
    ) -> Result<Answer, Failure> {
        tidy(resource, &mut new);
        if resource.status
            && let Some(fields) = new.as_object_mut()
        {
            // Nobody makes an object with a status.
            set(fields, "status", resource.empty.get("status").cloned());
        }
        let fields = metadata(&mut new);
        for name in OF_THE_SERVER.into_iter().chain(["resourceVersion"]) {
            fields.remove(name);
        }
        fields.insert("namespace".to_owned(), (*place.namespace).into());
        rules::check(resource, &new, None)?;
        if operation.is_none() {
            let writer = self.writer(call, resource, Operation::Update);
            managers = writer.update(&resource.empty, &new, managers);
        }
        defaults::allocate(resource, &mut new, self.store.revision);
        let uid = self.uid();
        let fields = metadata(&mut new);
        fields.insert("uid".to_owned(), uid.into());
        fields.insert("creationTimestamp".to_owned(), self.clock.stamp().into());
        if resource.generation != Generation::Absent {
            fields.insert("generation".to_owned(), 1.into());
        }
        fields.insert("managedFields".to_owned(), managers::written(managers));
        if call.query.dry_run {
            let stored = Arc::new(Stored::new(&new, self.store.revision));
            return Ok(Answer { code: 201, body: Answered::Object(stored), changed: false });
        }
        let stored = self.put(call.kind, place, &new);
        Ok(Answer { code: 201, body: Answered::Object(stored), changed: true })
    }

    /// Keeps what became of an object, unless nothing did.
    fn keep(
        &mut self,
        call: &Call,
        stored: &Arc<Stored>,
        (old, owned): (Value, Managers),
        mut new: Value,
        managers: Managers,
    ) -> Answer {
        let same = managers::same(&managers, &owned);
        if same && new == old {
            return Answer { code: 200, body: Answered::Object(stored.clone()), changed: false };
        }
        let managers = if same { owned } else { managers };
        let resource = self.resource(call.kind);
        if !call.status {
            raise_generation(&resource, &old, &mut new);
        }
        if !managers.is_empty() {
            metadata(&mut new).insert("managedFields".to_owned(), managers::written(managers));
        }
        if call.query.dry_run {
            let stored = Arc::new(Stored::new(&new, stored.revision));
            return Answer { code: 200, body: Answered::Object(stored), changed: false };
        }
        if stored.deleting && finalizers(&new).is_empty() {
            // The last one that held it let go: it is gone, and nobody sees it without them.
            self.take(call.kind, &call.place);
            let stored = Arc::new(Stored::new(&new, stored.revision));
            return Answer { code: 200, body: Answered::Object(stored), changed: true };
        }
        let stored = self.put(call.kind, call.place.clone(), &new);
        Answer { code: 200, body: Answered::Object(stored), changed: true }
    }

    fn writer<'a>(&self, call: &Call, resource: &'a Resource, operation: Operation) -> Writer<'a> {
        let subresource = if call.status { "status" } else { "" };
        Writer {
            shape: &resource.shape,
            manager: Manager::new(&call.query.manager, operation, &resource.api_version(), subresource),
            reset: if call.status { &resource.reset_of_status } else { &resource.reset },
            now: self.clock.stamp(),
        }
    }
}

/// What is there, without who owns what; and that.
fn read(stored: &Stored) -> (Value, Managers) {
    let mut old = stored.value();
    let owned = managers::read(metadata(&mut old).remove("managedFields")).unwrap_or_default();
    (old, owned)
}

/// The body, which is an object of that kind in that namespace.
fn body(resource: &Resource, call: &Call) -> Result<Value, Failure> {
    let mut object = parsed(&call.body)?;
    if !object.is_object() {
        return Err(Failure::bad_request("the body of the request is not an object"));
    }
    for (name, expected) in [("apiVersion", resource.api_version()), ("kind", resource.kind.clone())] {
        match object.get(name).and_then(Value::as_str) {
            None | Some("") => object[name] = expected.into(),
            Some(given) if given == expected => {}
            Some(given) => {
                let message =
                    format!("the {name} in the data ({given}) does not match the expected one ({expected})");
                return Err(Failure::bad_request(message));
            }
        }
    }
    match meta(&object, "namespace") {
        Some(namespace) if *namespace != *call.place.namespace => {
            let message =
                "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Failure::bad_request(message));
        }
        _ => {}
    }
    drop_nulls(&mut object);
    metadata(&mut object).insert("namespace".to_owned(), (*call.place.namespace).into());
    Ok(object)
}

/// What is to be applied.
fn configuration(resource: &Resource, call: &Call) -> Result<Value, Failure> {
    if call.query.manager.is_empty() {
        let message = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
        return Err(Failure::new(422, "Invalid", message));
    }
    let mut configuration = body(resource, call)?;
    if meta(&configuration, "name").is_none() {
        metadata(&mut configuration).insert("name".to_owned(), (*call.place.name).into());
    }
    named(call, &configuration)?;
    if configuration["metadata"].get("managedFields").is_some() {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    // Nobody applies what only the server says, and what it was read with is in many a configuration.
    for name in ["creationTimestamp", "generation", "deletionTimestamp", "selfLink"] {
        metadata(&mut configuration).remove(name);
    }
    if let Some(custom) = &resource.custom
        && let Some(field) = defaults::unknown(&custom.schema, &configuration)
    {
        return Err(untyped(resource, &call.place.name, &format!("{field}: field not declared in schema")));
    }
    Ok(configuration)
}

/// Whether the body says the name that the path says.
fn named(call: &Call, object: &Value) -> Result<(), Failure> {
    match meta(object, "name") {
        Some(name) if *name == *call.place.name => Ok(()),
        name => {
            let (name, expected) = (name.unwrap_or_default(), &call.place.name);
            let message =
                format!("the name of the object ({name}) does not match the name on the URL ({expected})");
            Err(Failure::bad_request(message))
        }
    }
}

fn parsed(body: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(body)
        .or_else(|_| yaml_serde::from_slice(body))
        .map_err(|error| Failure::bad_request(format!("the body of the request cannot be read: {error}")))
}

/// Merges as RFC 7396 says.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(fields) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(&name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// Unknown fields go and defaults come.
fn tidy(resource: &Resource, object: &mut Value) {
    drop_nulls(object);
    if let Some(custom) = &resource.custom {
        defaults::prune(&custom.schema, object);
        defaults::fill(&custom.schema, object);
    } else {
        defaults::drop_empty(&resource.shape, object);
        defaults::of_kubernetes(resource, object);
    }
    for name in ["labels", "annotations", "finalizers", "ownerReferences"] {
        let fields = metadata(object);
        let nothing = |value: &Value| value == &json!({}) || value == &json!([]);
        if fields.get(name).is_some_and(nothing) {
            fields.remove(name);
        }
    }
}

/// What `new` is when all that its writer cannot say is as it was, if it may be written over that.
fn settled(resource: &Resource, call: &Call, old: &Value, mut new: Value) -> Result<Value, Failure> {
    let name = &call.place.name;
    if let Some(revision) = meta(&new, "resourceVersion")
        && Some(revision) != meta(old, "resourceVersion")
    {
        return Err(Failure::modified(resource, name));
    }
    if let Some(uid) = meta(&new, "uid")
        && Some(uid) != meta(old, "uid")
    {
        let cause = ("metadata.uid".into(), format!("Invalid value: \"{uid}\": field is immutable"));
        return Err(Failure::invalid(resource, name, vec![cause]));
    }
    tidy(resource, &mut new);
    defaults::allocated(resource, old, &mut new);
    if call.status {
        let status = new.get_mut("status").map(Value::take).or_else(|| resource.empty.get("status").cloned());
        let annotations = object::metadata(&mut new).remove("annotations");
        new = old.clone();
        if resource.kind == "Deployment" {
            set(object::metadata(&mut new), "annotations", annotations);
        }
        if let Some(fields) = new.as_object_mut() {
            set(fields, "status", status);
        }
    } else if resource.status
        && let Some(fields) = new.as_object_mut()
    {
        set(fields, "status", old.get("status").cloned());
    }
    let fields = object::metadata(&mut new);
    for name in OF_THE_SERVER.into_iter().chain(["resourceVersion", "namespace"]) {
        set(fields, name, old["metadata"].get(name).cloned());
    }
    rules::check(resource, &new, Some(old))?;
    Ok(new)
}

fn raise_generation(resource: &Resource, old: &Value, new: &mut Value) {
    let annotations = |object: &Value| object["metadata"].get("annotations").cloned();
    let rest = |object: &Value| {
        let fields = object.as_object().into_iter().flatten();
        let fields = fields.filter(|(name, _)| !matches!(name.as_str(), "metadata" | "status"));
        fields.map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>()
    };
    let raised = match resource.generation {
        Generation::Absent => false,
        Generation::Spec => old.get("spec") != new.get("spec"),
        Generation::SpecAndAnnotations => {
            old.get("spec") != new.get("spec") || annotations(old) != annotations(new)
        }
        Generation::All => rest(old) != rest(new),
    };
    if raised {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or_default();
        object::metadata(new).insert("generation".to_owned(), (generation + 1).into());
    }
}

fn precondition(resource: &Resource, name: &str, given: &str, found: &str) -> Failure {
    let why = format!("Precondition failed: UID in precondition: {given}, UID in object meta: {found}");
    Failure::conflict(resource, name, &why)
}

fn refusal(resource: &Resource, name: &str, refused: Refused) -> Failure {
    match refused {
        Refused::Conflicts(conflicts) => Failure::owned(&conflicts),
        Refused::Mismatch(mismatch) => untyped(resource, name, &mismatch.to_string()),
    }
}

/// A configuration that is not of its kind. The server has no word for that.
fn untyped(resource: &Resource, name: &str, why: &str) -> Failure {
    let (version, kind) = (resource.api_version(), &resource.kind);
    let message = format!("failed to create typed patch object ({name}; {version}, Kind={kind}): {why}");
    Failure::new(500, "", message)
}
