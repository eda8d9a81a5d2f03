//! Sensors and inventory.

use serde_json::Value;

use super::client::Client;
use super::service::{link, members, printable, text};
use crate::{Error, Item, Sensor};

/// Where a chassis tells many readings at once: the list, the name of the value, its unit.
const READINGS: &[(&str, &str, &str, &str)] = &[
    ("/Thermal", "Temperatures", "ReadingCelsius", "degrees C"),
    ("/Thermal", "Fans", "Reading", "RPM"),
    ("/Power", "Voltages", "ReadingVolts", "Volts"),
    ("/Power", "PowerControl", "PowerConsumedWatts", "Watts"),
];
/// Where a chassis has a resource for each sensor instead, so many of them are read.
const MOST_SENSORS: usize = 256;

pub(super) async fn sensors(client: &mut Client, chassis: &Value) -> Result<Vec<Sensor>, Error> {
    let mut sensors = Vec::new();
    for part in ["/Thermal", "/Power"] {
        let Some(path) = link(chassis, part) else { continue };
        let resource = client.get(path).await?.body;
        for (_, list, value, unit) in READINGS.iter().filter(|(of, ..)| *of == part) {
            let entries = resource.get(list).and_then(Value::as_array).map(Vec::as_slice);
            sensors
                .extend(entries.unwrap_or_default().iter().map(|entry| sensor(entry, value, unit)));
        }
    }
    if !sensors.is_empty() {
        return Ok(sensors);
    }
    let Some(path) = link(chassis, "/Sensors") else { return Ok(sensors) };
    let collection = client.get(path).await?.body;
    for path in members(&collection).take(MOST_SENSORS) {
        sensors.push(sensor(&client.get(path).await?.body, "Reading", ""));
    }
    Ok(sensors)
}

pub(super) fn sensor(entry: &Value, value: &str, unit: &str) -> Sensor {
    let own_unit = text(entry, "/ReadingUnits");
    let state = match (text(entry, "/Status/Health"), text(entry, "/Status/State")) {
        ("OK", _) | ("", "Enabled" | "") => "ok".to_owned(),
        ("", state) => printable(state).to_lowercase(),
        (health, _) => printable(health).to_lowercase(),
    };
    Sensor {
        name: printable(text(entry, "/Name")),
        value: entry.get(value).and_then(Value::as_f64),
        unit: if own_unit.is_empty() { unit.to_owned() } else { printable(own_unit) },
        state,
    }
}

/// What of a system and of its manager is told.
const ITEMS: &[(&str, &str, &str)] = &[
    ("product", "manufacturer", "/Manufacturer"),
    ("product", "name", "/Model"),
    ("product", "part number", "/PartNumber"),
    ("product", "serial number", "/SerialNumber"),
    ("product", "stock number", "/SKU"),
    ("product", "asset tag", "/AssetTag"),
    ("product", "UUID", "/UUID"),
    ("firmware", "BIOS", "/BiosVersion"),
    ("processors", "model", "/ProcessorSummary/Model"),
    ("processors", "count", "/ProcessorSummary/Count"),
    ("memory", "GiB", "/MemorySummary/TotalSystemMemoryGiB"),
];

pub(super) fn inventory(system: &Value, manager: Option<&Value>) -> Vec<Item> {
    let of_manager = [("bmc", "firmware", "/FirmwareVersion"), ("bmc", "model", "/Model")];
    let of_system = ITEMS.iter().map(|item| (system, item));
    let of_manager =
        manager.into_iter().flat_map(|manager| of_manager.iter().map(move |item| (manager, item)));
    of_system.chain(of_manager).filter_map(|(resource, item)| fact(resource, *item)).collect()
}

fn fact(resource: &Value, (part, field, path): (&str, &str, &str)) -> Option<Item> {
    let value = match resource.pointer(path)? {
        Value::String(text) => printable(text),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!value.is_empty()).then(|| Item { part: part.to_owned(), field: field.to_owned(), value })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_empty_or_missing_is_not_told() {
        let system = json!({"Manufacturer": "ACME", "Model": " ", "SKU": null, "ProcessorSummary": {"Count": 2}});
        let lines: Vec<String> = inventory(&system, Some(&json!({"FirmwareVersion": "2.1"})))
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            lines,
            ["product | manufacturer | ACME", "processors | count | 2", "bmc | firmware | 2.1"]
        );
    }

    #[test]
    fn a_reading_has_its_unit_and_state() {
        let entry =
            json!({"Name": "CPU1", "ReadingCelsius": 41.5, "Status": {"Health": "Warning"}});
        assert_eq!(
            sensor(&entry, "ReadingCelsius", "degrees C").to_string(),
            "CPU1 | 41.500 degrees C | warning"
        );
    }
}
