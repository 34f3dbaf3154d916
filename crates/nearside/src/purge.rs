//! `nearside purge`: takes answers out of the cache of all nodes, and shows what each node did.

use std::process::ExitCode;

use admin::cache::PurgeOrder;
use serde::Deserialize;
use serde_json::json;

use crate::api::Api;
use crate::cli;
use crate::failure::Failure;
use crate::terminal::{self, Align, Paint, count, table};

/// What the nodes did.
#[derive(Deserialize)]
struct Purged {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    node: String,
    region: String,
    done: bool,
    removed: u64,
    why: Option<String>,
}

const HEADINGS: [&str; 5] = ["NODE", "REGION", "PURGED", "OBJECTS", ""];
const ALIGN: [Align; 5] = [Align::Left, Align::Left, Align::Left, Align::Right, Align::Left];
/// The column that is coloured.
const DONE: usize = 2;

/// Has the nodes purge.
///
/// # Errors
/// When there is no node, or it refuses.
pub fn purge(ask: &cli::Purge) -> Result<ExitCode, Failure> {
    let order = PurgeOrder {
        urls: ask.urls.clone(),
        tags: ask.tags.clone(),
        prefixes: ask.prefixes.clone(),
        all: ask.all,
        soft: ask.soft,
    };
    let place = &ask.node.admin.place;
    let api = Api::at(place);
    let body = api.granted(api.ask("POST", "purge", Some(&json!(order)))?)?;
    let purged = Purged::deserialize(&body).map_err(|_| Failure::foreign(place))?;
    if ask.node.json {
        terminal::print_json(&body);
    } else {
        terminal::print(&show(&purged.nodes, Paint::stdout()));
    }
    let all = purged.nodes.iter().all(|node| node.done);
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(nodes: &[Node], paint: Paint) -> String {
    let row = |node: &Node| {
        [
            node.node.clone(),
            node.region.clone(),
            if node.done { "yes" } else { "no" }.to_owned(),
            count(node.removed),
            node.why.clone().unwrap_or_default(),
        ]
    };
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(nodes.iter().map(row));
    table(&rows, &ALIGN, |column, row, cell| match (row, column, cell.trim_end()) {
        (0, ..) => paint.dim(cell),
        (_, DONE, "yes") => paint.green(cell),
        (_, DONE, _) => paint.red(cell),
        _ => cell.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_did_not_says_why() {
        let node = |node: &str, done, removed, why: Option<&str>| Node {
            node: node.to_owned(),
            region: "eu".to_owned(),
            done,
            removed,
            why: why.map(str::to_owned),
        };
        let nodes = [node("eu-1", true, 1234, None), node("eu-two", false, 0, Some("it doesn't answer"))];
        assert_eq!(
            show(&nodes, Paint::PLAIN),
            "NODE    REGION  PURGED  OBJECTS\n\
             eu-1    eu      yes       1,234\n\
             eu-two  eu      no            0  it doesn't answer\n"
        );
    }
}
