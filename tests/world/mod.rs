//! The stage of every scenario: real processes of the real binary, and the people around them.
//!
//! From the outside in:
//!
//! - `process`: one process, ended by its id whatever becomes of the scenario; `command`: one that ends by itself;
//! - `fault`: system calls of a process that fail, or take their time;
//! - `ports`: ports that stay the same when a role is started again;
//! - `role`: an edge, an origin or a selector with its configuration; `settings` writes that;
//! - `fleet`: roles that belong together; `up`: all of them in one process, by `kromka up`;
//! - `source`: a web server as the source, which counts, stalls, breaks off and forgets as told; `script`: one
//!   that says any bytes; `proxy`: `kromka proxy` before one;
//! - `viewer`: an HTTP client that hides nothing; `wire`: bytes that no client would send;
//! - `player`: plays a playlist and all below it; `session`: plays on where its edge fails it;
//! - `browser`: a real one, which plays as its script says, or Node alone;
//! - `operator`: talks to the control API;
//! - `resolver`: asks DNS as a resolver would;
//! - `tokens`: signs what a platform would sign; `media`: the sample on disk;
//! - `patience`: the one bound on waiting.
//!
//! Nothing here asserts what a scenario is about, and no bound here is ever the point of one: it only keeps a
//! broken build from hanging.

pub(crate) mod browser;
pub(crate) mod command;
pub(crate) mod fault;
pub(crate) mod fleet;
pub(crate) mod media;
pub(crate) mod operator;
pub(crate) mod patience;
pub(crate) mod player;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod resolver;
pub(crate) mod role;
pub(crate) mod script;
pub(crate) mod session;
pub(crate) mod settings;
pub(crate) mod source;
pub(crate) mod tokens;
pub(crate) mod up;
pub(crate) mod viewer;
pub(crate) mod wire;

pub(crate) use browser::{browser, browser_by};
pub(crate) use command::{Ran, installed, kromka};
pub(crate) use fault::Fault;
pub(crate) use fleet::Fleet;
pub(crate) use operator::Operator;
pub(crate) use patience::{until, within};
pub(crate) use process::Process;
pub(crate) use proxy::Proxy;
pub(crate) use resolver::Resolver;
pub(crate) use role::Role;
pub(crate) use script::{Said, Script};
pub(crate) use source::{Conduct, Source};
pub(crate) use up::Up;
pub(crate) use viewer::{Got, Viewer};
