//! How far operations are, as tables for people.

use indicatif::HumanBytes;
use kromka_control::{Operation, OperationKind, Progress};

use super::output::Table;

/// One operation: itself, then each node's share.
pub(super) fn table(operation: &Operation) -> String {
    let mut nodes = Table::new(["NODE", "STATE", "OBJECTS", "BYTES", "APPLIED", "ERROR"]);
    for node in &operation.nodes {
        let [objects, bytes] =
            node.progress.map(|progress| counted(operation.kind, &progress)).unwrap_or_default();
        let applied = node.applied_at.map(|at| at.to_string()).unwrap_or_default();
        let error = node.error.clone().unwrap_or_default();
        nodes.row([node.node.clone(), node.state.to_string(), objects, bytes, applied, error]);
    }
    format!("{}\n\n{nodes}", listed(std::slice::from_ref(operation)))
}

/// A line for each.
pub(super) fn listed(operations: &[Operation]) -> Table {
    let mut table = Table::new(["OPERATION", "KIND", "STATE", "OBJECTS", "BYTES", "NODES", "CREATED"]);
    for operation in operations {
        let [objects, bytes] = counted(operation.kind, &operation.progress);
        table.row([
            operation.id.clone(),
            operation.kind.to_string(),
            operation.state.to_string(),
            objects,
            bytes,
            operation.nodes.len().to_string(),
            operation.created_at.map(|at| at.to_string()).unwrap_or_default(),
        ]);
    }
    table
}

/// Objects and bytes; nothing for a purge, which counts only who has it done.
pub(super) fn counted(kind: OperationKind, progress: &Progress) -> [String; 2] {
    match (kind, progress.objects_total) {
        (OperationKind::Purge, _) | (_, 0) => Default::default(),
        (_, total) => {
            [format!("{}/{total}", progress.objects_done), HumanBytes(progress.bytes_done).to_string()]
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table_has_a_line_for_every_node() {
        let operation: Operation = serde_json::from_value(json!({
            "id": "op", "kind": "purge", "state": "running",
            "progress": {"objects_done": 1, "objects_total": 2}, "created_at": "2026-01-31T18:00:00Z",
            "nodes": [{"node": "e1", "state": "succeeded", "applied_at": "2026-01-31T18:00:01Z"},
                      {"node": "e2", "state": "failed", "error": "disk full"}]
        }))
        .unwrap();
        let text = table(&operation);
        let lines: Vec<_> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(lines[1], "op purge running 2 2026-01-31 18:00:00 UTC");
        assert_eq!(lines[4], "e1 succeeded 2026-01-31 18:00:01 UTC");
        assert_eq!(lines[5], "e2 failed disk full");
    }
}
