//! What nodes last told the old site. It is no part of the cluster: whoever commits the plan shows it as of then.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use perilune_model::Name;

use super::planner::Planner;
use crate::cell::shown;
use crate::names::Referent;
use crate::reading::Reading;
use crate::report::Verdict;

const TABLE: &str = "monitor";
/// As long as a state and what is said beside it may be, as where nodes report them.
const LONGEST_STATE: usize = 64;
const LONGEST_STATUS: usize = 4096;
/// Numbers that the old daemon kept beside states that say the same.
const GOOD: &str = "200";
const FAILED: (&str, &str) = ("install.error", "500");

/// What a node last told the old site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeState {
    /// The node.
    pub node: Name,
    /// Such as `install.success` or `power on`.
    pub state: String,
    /// What was said beside it.
    pub status: Option<String>,
    /// When it was said, in milliseconds since 1970, where the database has that.
    pub said: Option<u64>,
}

impl Planner<'_> {
    /// The states of nodes that are taken. Those of nodes that are not go with them.
    pub(super) fn states(&mut self) -> Vec<NodeState> {
        let mut states: BTreeMap<Name, NodeState> = BTreeMap::new();
        let (mut others, mut gone) = (0, 0);
        for row in self.source.rows(TABLE) {
            let mut reading = Reading::new(TABLE, row, &mut self.report);
            if reading.text("tableref").as_deref() != Some("node") {
                others += 1;
                continue;
            }
            let Some(id) = reading.number_of_row("tablerefid") else { continue };
            let node = match self.names.find("node", id) {
                Referent::Taken(node) => node,
                Referent::Refused => continue,
                Referent::Missing => {
                    gone += 1;
                    continue;
                }
            };
            reading.name = Some(node.to_string());
            let Some(state) = reading.text("state") else { continue };
            let status = reading.text("status");
            let said = reading.text("updated").and_then(|text| {
                let said = milliseconds(&text);
                if said.is_none() {
                    reading
                        .odd("updated", format!("'{}' is not a time; read as unset", shown(&text)));
                }
                said
            });
            let state = line(&state, LONGEST_STATE);
            let says_the_same =
                |status: &String| status == GOOD || (state.as_str(), status.as_str()) == FAILED;
            let status = status.map(|text| line(&text, LONGEST_STATUS));
            let status = status.filter(|status| !status.is_empty() && !says_the_same(status));
            if state.is_empty() {
                continue;
            }
            // A table that lost its constraint may have two; the later row is the newer one.
            states.insert(node.clone(), NodeState { node, state, status, said });
        }
        self.left(others, "states of images, of threads and of controllers come anew");
        self.left(gone, "they are of nodes that are not there any more");
        self.report.count("nodestate", states.len());
        states.into_values().collect()
    }

    fn left(&mut self, rows: usize, reason: &str) {
        if rows > 0 {
            let message = format!("{rows} rows are left out: {reason}");
            self.report.table(Verdict::Left, TABLE, message);
        }
    }
}

fn line(text: &str, longest: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(longest).collect::<String>().trim().to_owned()
}

/// Times are written as `2026-01-02 10:00:00`, in UTC.
fn milliseconds(text: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339_weak(text.trim()).ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}
