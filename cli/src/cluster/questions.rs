//! What an API server is asked: one function a question.

use std::fmt::Debug;

use fundbond_crds::labels;
use http::{Request, Response};
use k8s_openapi::{
    api::{
        core::v1::{Event, Secret},
        discovery::v1::EndpointSlice,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::version::Info,
};
use kube::{
    Api, Resource,
    api::{ApiResource, DynamicObject, ListParams},
    client::Body,
};
use serde::de::DeserializeOwned;

use super::{Cluster, ClusterError, Question, Scope, fund_cluster_resource};

/// So many objects of a list come at once.
const PAGE: u32 = 500;

impl Cluster {
    /// The FundClusters, as they are: with fields that this version does not know, and without a look at any.
    ///
    /// # Errors
    /// Those of every question: see [`ClusterError`].
    pub async fn fund_clusters(&self, scope: &Scope) -> Result<Vec<DynamicObject>, ClusterError> {
        self.list_as(scope, &fund_cluster_resource(), "").await
    }

    /// A FundCluster of [`Cluster::namespace`], as it is.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn fund_cluster(&self, name: &str) -> Result<DynamicObject, ClusterError> {
        let api = Api::namespaced_with(self.client.clone(), &self.namespace, &fund_cluster_resource());
        let question = self.question("get", &fund_cluster_resource(), &self.here()).named(name);
        self.ask(question, api.get(name)).await
    }

    /// The endpoints of the Services of a FundCluster, ready or not, Service by Service.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn slices(&self, scope: &Scope, cluster: &str) -> Result<Vec<EndpointSlice>, ClusterError> {
        self.list(scope, &labels::of_cluster(cluster)).await
    }

    /// The events about an object of [`Cluster::namespace`].
    ///
    /// # Errors
    /// Those of every question.
    pub async fn events_about(&self, kind: &str, name: &str) -> Result<Vec<Event>, ClusterError> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
        let question = self.question("list", &ApiResource::erase::<Event>(&()), &self.here());
        let params = ListParams::default().fields(&fields).limit(PAGE);
        Ok(self.ask(question, api.list(&params)).await?.items)
    }

    /// All objects of a kind that Kubernetes has, with such labels (all, where there are none).
    ///
    /// # Errors
    /// Those of every question.
    pub async fn list<K>(&self, scope: &Scope, labels: &str) -> Result<Vec<K>, ClusterError>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let objects = self.list_as(scope, &ApiResource::erase::<K>(&()), labels).await?;
        let typed = objects.into_iter().map(DynamicObject::try_parse);
        typed.collect::<Result<_, _>>().map_err(|source| ClusterError::Unreadable {
            question: Box::new(self.question("list", &ApiResource::erase::<K>(&()), scope)),
            source: source.into(),
        })
    }

    /// The same, for a kind that is only known by name.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn list_as(
        &self,
        scope: &Scope,
        resource: &ApiResource,
        labels: &str,
    ) -> Result<Vec<DynamicObject>, ClusterError> {
        let api: Api<DynamicObject> = match scope {
            Scope::All => Api::all_with(self.client.clone(), resource),
            Scope::Namespace(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
        };
        let mut params = ListParams::default().labels(labels).limit(PAGE);
        let mut objects = Vec::new();
        loop {
            let page = self.ask(self.question("list", resource, scope), api.list(&params)).await?;
            objects.extend(page.items.into_iter().map(|object| typed(object, resource)));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(objects),
            }
        }
    }

    /// An object of a kind that Kubernetes has.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn get<K>(&self, namespace: &str, name: &str) -> Result<K, ClusterError>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let resource = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let question = self.question("get", &resource, &Scope::Namespace(namespace.to_owned())).named(name);
        let object = self.ask(question.clone(), api.get(name)).await?;
        object.try_parse().map_err(|source| ClusterError::Unreadable {
            question: Box::new(question),
            source: source.into(),
        })
    }

    /// The definition of that name, where there is one.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn definition(&self, name: &str) -> Result<Option<CustomResourceDefinition>, ClusterError> {
        let resource = ApiResource::erase::<CustomResourceDefinition>(&());
        let question = self.question("get", &resource, &Scope::All).named(name);
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        self.ask(question, api.get_opt(name)).await
    }

    /// Whether there is such a Secret. What is in it is not asked for.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn has_secret(&self, namespace: &str, name: &str) -> Result<bool, ClusterError> {
        let place = Scope::Namespace(namespace.to_owned());
        let question = self.question("get", &ApiResource::erase::<Secret>(&()), &place).named(name);
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        Ok(self.ask(question, api.get_metadata_opt(name)).await?.is_some())
    }

    /// A page of the admin port of a pod, through the API server.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn admin_of_pod(
        &self,
        namespace: &str,
        pod: &str,
        port: i32,
        page: &str,
    ) -> Result<String, ClusterError> {
        let question = Question::of("get", "", "pods/proxy", Some(namespace.to_owned())).named(pod);
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{page}");
        Ok(self.text(question, &path).await?.1)
    }

    /// A page of the admin port of one of the pods behind a Service, through the API server.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn admin_of_service(
        &self,
        namespace: &str,
        service: &str,
        page: &str,
    ) -> Result<String, ClusterError> {
        let question = Question::of("get", "", "services/proxy", Some(namespace.to_owned())).named(service);
        let path = format!("/api/v1/namespaces/{namespace}/services/{service}:admin/proxy{page}");
        Ok(self.text(question, &path).await?.1)
    }

    /// Which version the server has, and what time it is there.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn version(&self) -> Result<(Info, Option<String>), ClusterError> {
        let question = Question::of("get", "", "version", None);
        let (date, text) = self.text(question.clone(), "/version").await?;
        let info = serde_json::from_str(&text).map_err(|source| ClusterError::Unreadable {
            question: Box::new(question),
            source: source.into(),
        })?;
        Ok((info, date))
    }

    /// The answer to a GET of `path`, with the server's `Date`. `question` is what it is in words.
    ///
    /// # Errors
    /// Those of every question.
    pub async fn text(
        &self,
        question: Question,
        path: &str,
    ) -> Result<(Option<String>, String), ClusterError> {
        let request = Request::get(path).body(Body::empty());
        let request = request.map_err(|error| ClusterError::Unreadable {
            question: Box::new(question.clone()),
            source: error.into(),
        })?;
        self.ask(question, async {
            let response = self.client.send(request).await?;
            let date = response.headers().get(http::header::DATE);
            let date = date.and_then(|date| date.to_str().ok()).map(str::to_owned);
            Ok((date, whole(response).await?))
        })
        .await
    }
}

/// Items of a list do not say what they are.
fn typed(mut object: DynamicObject, resource: &ApiResource) -> DynamicObject {
    object.types.get_or_insert_with(|| kube::api::TypeMeta {
        api_version: resource.api_version.clone(),
        kind: resource.kind.clone(),
    });
    object
}

/// The body of a good answer; a bad one as the error it is.
async fn whole(response: Response<Body>) -> kube::Result<String> {
    let status = response.status();
    let bytes = response.into_body().collect_bytes().await?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if status.is_success() {
        return Ok(text);
    }
    let said = serde_json::from_str(&text).unwrap_or_else(|_| {
        kube::core::Status::failure(text.trim(), "NotAStatus").with_code(status.as_u16())
    });
    Err(kube::Error::Api(said.boxed()))
}
