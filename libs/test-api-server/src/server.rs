//! The server: both programs, started together.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use http::Request;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Namespace, ServiceAccount},
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::{
    ASSETS,
    audit::Audit,
    certificates::{self, Authority},
    definitions,
    keeper::Keeper,
    must,
    port::Port,
    program::Program,
    user::{Endpoint, User},
};

/// Three seconds on an idle machine; one that compiles on every core takes many times that.
const READY: Duration = Duration::from_mins(2);

/// Between two questions whether it is ready.
const PAUSE: Duration = Duration::from_millis(50);

/// One question, to a server that may take connections and not answer.
const ANSWER: Duration = Duration::from_secs(5);

/// What differs between servers.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether requests are written down, for [`ApiServer::audit`].
    pub audit: bool,
    /// More arguments of kube-apiserver.
    pub arguments: Vec<String>,
}

/// A server that runs until it is dropped, or until the process ends.
pub struct ApiServer {
    programs: Mutex<Programs>,
    endpoint: Arc<Endpoint>,
    authority: Authority,
    audit: Option<Audit>,
    namespaces: AtomicU32,
    definitions: OnceCell<()>,
    foreign_definitions: OnceCell<()>,
    keeper: Mutex<Keeper>,
    /// Removed by the keeper; by this where there was none yet.
    _directory: TempDir,
    _ports: [Port; 3],
}

struct Programs {
    etcd: Program,
    api_server: Program,
}

/// The server that all tests of this binary share, started by the first who asks, who waits some seconds. Its audit log is
/// written. Whoever stops or freezes a server starts one for themselves.
pub fn shared() -> &'static ApiServer {
    // Where it cannot be had, the others are told so at once and do not wait for it in their turn.
    static SHARED: OnceLock<Result<ApiServer, String>> = OnceLock::new();
    let options = Options { audit: true, ..Options::default() };
    let started = SHARED.get_or_init(|| start(options).map_err(|error| format!("{error:#}")));
    must(started.as_ref().map_err(|error| anyhow!("{error}")))
}

impl ApiServer {
    /// Starts a server and waits until it is ready.
    pub fn start(options: Options) -> Self {
        must(start(options))
    }

    async fn try_start(options: &Options) -> Result<Self> {
        let assets = assets()?;
        let directory = scratch()?;
        let path = directory.path();
        let keeper = Keeper::of(path)?;
        let authority = Authority::new()?;
        let ports = [Port::free()?, Port::free()?, Port::free()?];
        let [api_server, client, peer] = &ports;
        let (certificate, key) = authority.server()?;
        let (signs_tokens, checks_tokens) = certificates::token_keys()?;
        for (name, text) in [
            ("authority.crt", authority.pem()),
            ("server.crt", certificate),
            ("server.key", key),
            ("tokens.key", signs_tokens),
            ("tokens.pub", checks_tokens),
        ] {
            write(&path.join(name), &text)?;
        }
        let audit = options.audit.then(|| Audit::prepare(path)).transpose()?;
        let mut arguments = api_server_arguments(path, api_server, client);
        arguments.extend(audit.iter().flat_map(Audit::arguments));
        arguments.extend(options.arguments.iter().cloned());
        let words = |words: Vec<String>| words.into_iter().map(Into::into).collect();
        let programs = Programs {
            etcd: Program::new(&assets, "etcd", words(etcd_arguments(path, client, peer)), path),
            api_server: Program::new(&assets, "kube-apiserver", words(arguments), path),
        };
        let endpoint = Endpoint {
            url: format!("https://127.0.0.1:{}", api_server.number()),
            authority_pem: authority.pem(),
            authority_der: authority.der(),
            directory: path.to_owned(),
        };
        let server = Self {
            programs: Mutex::new(programs),
            endpoint: Arc::new(endpoint),
            authority,
            audit,
            namespaces: AtomicU32::new(0),
            definitions: OnceCell::new(),
            foreign_definitions: OnceCell::new(),
            keeper: Mutex::new(keeper),
            _directory: directory,
            _ports: ports,
        };
        server.programs().etcd.start()?;
        server.programs().api_server.start()?;
        server.ready().await?;
        Ok(server)
    }

    /// Waits until the server says that it is ready, and fails where it ends or takes too long.
    async fn ready(&self) -> Result<()> {
        let began = Instant::now();
        let client = self.admin().client();
        loop {
            {
                let mut programs = self.programs();
                programs.etcd.check()?;
                programs.api_server.check()?;
            }
            let request = Request::get("/readyz").body(Vec::new())?;
            let said = match tokio::time::timeout(ANSWER, client.request_text(request)).await {
                Ok(Ok(text)) if text == "ok" => return Ok(()),
                Ok(Ok(text)) => text,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "nothing".to_owned(),
            };
            if began.elapsed() > READY {
                let programs = self.programs();
                bail!(
                    "the API server is not ready after {} s: /readyz says {said}\nkube-apiserver:\n{}\netcd:\n{}",
                    READY.as_secs(),
                    programs.api_server.last_words(),
                    programs.etcd.last_words()
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Where it listens: `https://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.endpoint.url
    }

    /// Who may do everything.
    pub fn admin(&self) -> User {
        self.with_certificate("admin", Some("system:masters"))
    }

    /// Somebody of that name, who may do nothing but what roles are bound to the name.
    pub fn user(&self, name: &str) -> User {
        self.with_certificate(name, None)
    }

    fn with_certificate(&self, name: &str, group: Option<&str>) -> User {
        let proof = must(self.authority.user(name, group));
        User::with_certificate(name, proof, Arc::clone(&self.endpoint))
    }

    /// A service account that is made if it does not exist, with a token as a pod of it has. It is called
    /// `system:serviceaccount:<namespace>:<name>`, and may do what roles are bound to the account.
    pub async fn service_account(&self, namespace: &str, name: &str) -> User {
        must(self.try_service_account(namespace, name).await)
    }

    async fn try_service_account(&self, namespace: &str, name: &str) -> Result<User> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let account = ServiceAccount { metadata: named(name, &[]), ..ServiceAccount::default() };
        match api.create(&PostParams::default(), &account).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(error).context("cannot make a service account"),
        }
        // An hour: longer than any test.
        let spec = TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let answer = api.create_token_request(name, &PostParams::default(), &request).await;
        let answer = answer.context("cannot have a token")?;
        let token = answer.status.context("an answer without a token")?.token;
        let user = format!("system:serviceaccount:{namespace}:{name}");
        Ok(User::with_token(&user, &token, Arc::clone(&self.endpoint)))
    }

    /// A client of [`ApiServer::admin`].
    pub fn client(&self) -> Client {
        self.admin().client()
    }

    /// A namespace nobody else has.
    pub async fn namespace(&self) -> String {
        self.namespace_with(&[]).await
    }

    /// A namespace nobody else has, with labels.
    pub async fn namespace_with(&self, labels: &[(&str, &str)]) -> String {
        let name = format!("test-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        let namespace = Namespace { metadata: named(&name, labels), ..Namespace::default() };
        let made = Api::all(self.client()).create(&PostParams::default(), &namespace).await;
        must(made.context("cannot make a namespace"));
        name
    }

    /// Installs FundCluster and GatewayRoute as `crds/*.yaml` has them, once, and waits until they can be used.
    pub async fn install_definitions(&self) {
        let installed = self.definitions.get_or_try_init(|| definitions::install(self.client())).await;
        must(installed);
    }

    /// Installs the kinds of the Gateway API and of the Prometheus operator that the system writes, once, without their shapes,
    /// and waits until they can be used. Nothing takes them away again.
    pub async fn install_foreign_definitions(&self) {
        let installed =
            self.foreign_definitions.get_or_try_init(|| definitions::install_foreign(self.client())).await;
        must(installed);
    }

    /// What was asked of it.
    ///
    /// # Panics
    /// [`Options::audit`] is off.
    pub fn audit(&self) -> &Audit {
        self.audit.as_ref().expect("this server writes no audit log: start it with `audit`")
    }

    /// Kills kube-apiserver: who connects is refused, and every connection is cut. etcd keeps what was written.
    pub fn stop(&self) {
        must(self.programs().api_server.stop());
    }

    /// Starts kube-apiserver on the same port over the same data, and waits until it is ready.
    pub async fn start_again(&self) {
        must(self.programs().api_server.start());
        must(self.ready().await);
    }

    /// Freezes kube-apiserver: connections are taken, and nothing is answered.
    pub fn freeze(&self) {
        must(self.programs().api_server.freeze());
    }

    /// Lets a frozen one go on.
    pub fn thaw(&self) {
        must(self.programs().api_server.thaw());
    }

    fn programs(&self) -> MutexGuard<'_, Programs> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner).end();
        let mut programs = self.programs();
        programs.api_server.bury();
        programs.etcd.bury();
    }
}

/// On a thread of its own, which has a runtime of its own: a test may be in the middle of another.
fn start(options: Options) -> Result<ApiServer> {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.context("cannot make a runtime")?.block_on(ApiServer::try_start(&options))
    });
    thread.join().unwrap_or_else(|_| Err(anyhow!("the thread that starts the API server panicked")))
}

fn assets() -> Result<PathBuf> {
    let Some(directory) = env::var_os(ASSETS).filter(|value| !value.is_empty()) else {
        bail!(
            "{ASSETS} is not set: run `cargo xtask test`, which gets etcd and kube-apiserver, or set it to a \
             directory with both"
        );
    };
    Ok(directory.into())
}

/// A directory that is thrown away: in memory where that is possible, so that nothing waits for a disk.
fn scratch() -> Result<TempDir> {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
    tempfile::Builder::new()
        .prefix("fundbond-api-server-")
        .tempdir_in(&parent)
        .with_context(|| format!("cannot make a directory in {}", parent.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn named(name: &str, labels: &[(&str, &str)]) -> ObjectMeta {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() }
}

fn etcd_arguments(directory: &Path, client: &Port, peer: &Port) -> Vec<String> {
    let url = format!("http://127.0.0.1:{}", client.number());
    vec![
        format!("--data-dir={}", directory.join("etcd").display()),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        // It has no peers, and would take the usual port for them.
        format!("--listen-peer-urls=http://127.0.0.1:{}", peer.number()),
        // Nothing outlives the test, so nothing needs to reach a disk.
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
    ]
}

fn api_server_arguments(directory: &Path, port: &Port, etcd: &Port) -> Vec<String> {
    let file = |name: &str| directory.join(name).display().to_string();
    vec![
        format!("--etcd-servers=http://127.0.0.1:{}", etcd.number()),
        "--bind-address=127.0.0.1".into(),
        "--advertise-address=127.0.0.1".into(),
        format!("--secure-port={}", port.number()),
        format!("--cert-dir={}", file("certificates")),
        format!("--tls-cert-file={}", file("server.crt")),
        format!("--tls-private-key-file={}", file("server.key")),
        format!("--client-ca-file={}", file("authority.crt")),
        "--authorization-mode=RBAC".into(),
        "--service-cluster-ip-range=10.0.0.0/16".into(),
        "--allow-privileged=true".into(),
        // It waits for a controller, which does not run here, to give each namespace an account.
        "--disable-admission-plugins=ServiceAccount".into(),
        format!("--service-account-issuer=https://127.0.0.1:{}/", port.number()),
        format!("--service-account-key-file={}", file("tokens.pub")),
        format!("--service-account-signing-key-file={}", file("tokens.key")),
    ]
}
