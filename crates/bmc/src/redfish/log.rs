//! A BMC's event log.

use serde_json::{Value, json};

use super::client::Client;
use super::service::{link, members, printable, text};
use crate::{Error, Event};

/// A log comes in pages; and where a page has links only, entry by entry.
const MOST_PAGES: usize = 100;
const MOST_ENTRIES: usize = 10_000;

pub(super) async fn list(client: &mut Client, service: &Value) -> Result<Vec<Event>, Error> {
    let mut next = link(service, "/Entries").map(str::to_owned);
    let mut events = Vec::new();
    for _ in 0..MOST_PAGES {
        let Some(path) = next.take() else { break };
        let page = client.get(&path).await?.body;
        let entries =
            page.get("Members").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let are_whole = entries.iter().all(|entry| entry.get("Id").is_some());
        if are_whole {
            events.extend(entries.iter().map(event));
        } else {
            for path in members(&page) {
                if events.len() >= MOST_ENTRIES {
                    return Ok(events);
                }
                events.push(event(&client.get(path).await?.body));
            }
        }
        next = page.get("Members@odata.nextLink").and_then(Value::as_str).map(str::to_owned);
        if events.len() >= MOST_ENTRIES {
            break;
        }
    }
    Ok(events)
}

pub(super) async fn clear(client: &mut Client, service: &Value) -> Result<(), Error> {
    let described = service.pointer("/Actions/#LogService.ClearLog");
    let path =
        described.map(|described| text(described, "/target")).filter(|path| !path.is_empty());
    let path = path.ok_or_else(|| client.rejected("its log cannot be cleared"))?;
    client.post(path, &json!({})).await.map(drop)
}

pub(super) fn event(entry: &Value) -> Event {
    let first = |paths: &[&str]| {
        let found = paths.iter().map(|path| text(entry, path)).find(|text| !text.is_empty());
        printable(found.unwrap_or_default())
    };
    Event {
        id: first(&["/Id"]),
        time: first(&["/EventTimestamp", "/Created"]),
        sensor: first(&["/SensorType", "/OemSensorType", "/Severity", "/EntryType"]),
        text: first(&["/Message", "/Name"]),
        asserted: !text(entry, "/EntryCode").to_lowercase().starts_with("deassert"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_told_in_one_line() {
        let entry = json!({
            "Id": "7", "Created": "2026-01-02T10:00:00Z", "SensorType": "Temperature",
            "Message": "Too hot.\nReally.", "EntryCode": "Assert",
        });
        let expected = "7 | 2026-01-02T10:00:00Z | Temperature | Too hot.Really. | Asserted";
        assert_eq!(event(&entry).to_string(), expected);
        assert!(!event(&json!({"EntryCode": "Deassert"})).asserted);
    }
}
