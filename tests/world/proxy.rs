//! `kromka proxy` before a server, as one process.

use tempfile::TempDir;

use super::ports::free;
use super::process::{Process, binary};
use super::until;

/// A proxy at work. Dropping it ends its process.
pub(crate) struct Proxy {
    pub(crate) url: String,
    _process: Process,
    _folder: TempDir,
}

impl Proxy {
    /// Before the server at `to`.
    pub(crate) async fn before(to: &str) -> Proxy {
        Proxy::with(to, &[]).await
    }

    /// The same, in an environment with these variables.
    pub(crate) async fn with(to: &str, environment: &[(&str, &str)]) -> Proxy {
        let folder = tempfile::Builder::new().prefix("kromka-").tempdir().unwrap();
        let port = free();
        let mut command = binary();
        command.args(["proxy", "--listen", &format!("127.0.0.1:{port}"), "--to", to]);
        command.envs(environment.iter().copied());
        let process = Process::start("proxy", command, folder.path());
        until("the proxy listens", || async { std::net::TcpStream::connect(("127.0.0.1", port)).ok() }).await;
        Proxy { url: format!("http://127.0.0.1:{port}"), _process: process, _folder: folder }
    }
}
