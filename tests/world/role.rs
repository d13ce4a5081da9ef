//! One role as a process of its own, which can be killed, stopped and started again at the same place.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use super::patience::until;
use super::process::{Process, binary, binary_inside};
use super::settings::Places;
use super::viewer::Viewer;

/// An edge, an origin or a selector.
pub(crate) struct Role {
    /// The node's name; `selector` for the selector.
    pub(crate) id: String,
    /// Base URLs, without a slash at the end.
    pub(crate) url: String,
    pub(crate) tls_url: String,
    pub(crate) admin: String,
    verb: &'static str,
    folder: PathBuf,
    /// The network namespace it runs in; the scenario's own where none is named.
    namespace: Option<String>,
    process: Option<Process>,
}

impl Role {
    /// Writes the configuration; nothing runs yet.
    pub(crate) fn new(verb: &'static str, id: &str, places: &Places, folder: &Path, text: &str) -> Role {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("config.toml"), text).unwrap();
        Role {
            id: id.to_owned(),
            url: format!("http://{}", places.http),
            tls_url: format!("https://{}", places.https),
            admin: format!("http://{}", places.admin),
            verb,
            folder: folder.to_owned(),
            namespace: None,
            process: None,
        }
    }

    /// Lets it run in a network namespace.
    pub(crate) fn inside(mut self, namespace: &str) -> Role {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// The certificate that an edge made for itself.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("tls/cert.pem")
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("config.toml")
    }

    /// Starts the process and waits until it is alive, though perhaps not yet ready.
    pub(crate) async fn start(&mut self) {
        assert!(self.process.is_none(), "{} runs already", self.id);
        let mut command = self.namespace.as_deref().map_or_else(binary, binary_inside);
        command.arg(self.verb).arg("--config").arg(self.config());
        self.process = Some(Process::start(&self.id, command, &self.folder));
        self.answers("/healthz").await;
    }

    /// Waits until it takes traffic.
    pub(crate) async fn ready(&mut self) {
        self.answers("/readyz").await;
    }

    async fn answers(&mut self, path: &str) {
        let (viewer, url) = (Viewer::new(), format!("{}{path}", self.admin));
        let process = std::cell::RefCell::new(self.process.as_mut().unwrap());
        until(&url, || async {
            let ended = process.borrow_mut().status();
            assert!(ended.is_none(), "{url}: ended with {ended:?}: {}", process.borrow().said());
            let got = viewer.try_ask(reqwest::Method::GET, &url, &[]).await.ok()?;
            (got.status == 200).then_some(())
        })
        .await;
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.process.take().unwrap().kill();
    }

    /// Ends it as a service manager would; how it ended.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.process.take().unwrap().stop().await
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }

    /// A metric, summed over its labels; 0 if it never counted.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        metric(&self.admin, name).await
    }
}

/// A metric of the process with this admin listener, summed over its labels.
pub(crate) async fn metric(admin: &str, name: &str) -> f64 {
    let got = Viewer::new().get(&format!("{}/metrics", admin.trim_end_matches('/'))).await;
    let lines = got.text().lines().filter(|line| !line.starts_with('#'));
    let values = lines.filter_map(|line| line.rsplit_once(' ')).filter(|(series, _)| {
        let rest = series.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
    });
    values.map(|(_, value)| value.parse::<f64>().unwrap()).sum()
}
