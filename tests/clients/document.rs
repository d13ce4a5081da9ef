//! The control API as its own description tells it: Schemathesis reads `/v1/openapi.json`, makes requests that follow
//! it and requests that break it, and holds each answer against it.

use std::process::Command;

use crate::world::command::run;
use crate::world::fleet::Plan;
use crate::world::installed;
use crate::world::settings::API_TOKEN;

/// Requests made up for each operation and phase.
const EXAMPLES: &str = "40";

#[tokio::test]
#[ignore = "needs Schemathesis, which tests/run installs"]
async fn every_answer_of_the_control_api_is_as_described_and_none_is_an_error_of_the_selector() {
    let python = installed("target/tests/venv/bin/python", Some("KROMKA_PYTHON"));
    let fleet = Plan::sample().selected().start().await;
    let selector = &fleet.selector.as_ref().unwrap().url;
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    command
        .current_dir(folder.path())
        .args(["-m", "schemathesis.cli", "run", &format!("{selector}/v1/openapi.json"), "--url", selector])
        .args(["--header", &format!("Authorization: Bearer {API_TOKEN}")])
        .args(["--max-examples", EXAMPLES, "--seed", "1", "--no-color", "--request-timeout", "30"])
        // What only the fleet of the day knows (which services and paths there are) no description tells.
        .args(["--exclude-checks", "positive_data_acceptance"]);
    let ran = run(command).await;
    assert_eq!(ran.code, 0, "{}", ran.everything());
    let document: serde_json::Value =
        serde_json::from_str(include_str!("../../selector/openapi.json")).unwrap();
    let methods = ["get", "put", "post", "delete"];
    let paths = document["paths"].as_object().unwrap().values();
    let operations: usize =
        paths.map(|path| methods.iter().filter(|method| !path[**method].is_null()).count()).sum();
    let all = format!("Tested: {operations}");
    assert!(operations > 20 && ran.everything().contains(&all), "{all}: {}", ran.everything());
}
