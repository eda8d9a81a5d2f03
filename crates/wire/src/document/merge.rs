//! A document over what there is: fields that it does not say stay as they are.

use perilune_model::{Cluster, Kind};
use serde_json::{Map, Value};

use super::{KINDS, shown};

/// The keys that items of lists go by.
const KEYS: [&str; 3] = ["interface", "name", "host"];

/// The document with all that it does not say of objects that are there, as they are now. Null unsets a field. Items of a list stay
/// when they are not named; an interface that is named keeps what is not said of it.
pub fn merge(document: &Map<String, Value>, cluster: &Cluster) -> Map<String, Value> {
    let mut merged = document.clone();
    for kind in KINDS {
        let Some(said) = merged.get_mut(kind.word()) else { continue };
        if kind == Kind::Settings {
            lay_over(cluster, kind, perilune_model::settings::KEY, said);
            continue;
        }
        // What is no object is refused when the document is read.
        let Value::Object(objects) = said else { continue };
        for (name, said) in objects {
            lay_over(cluster, kind, name, said);
        }
    }
    merged
}

fn lay_over(cluster: &Cluster, kind: Kind, name: &str, said: &mut Value) {
    let Some(object) = cluster.object(kind, name) else { return };
    let own = shown(&object, true);
    let said_of_it = std::mem::replace(said, own);
    overlay(said, said_of_it);
}

fn overlay(own: &mut Value, said: Value) {
    match (own, said) {
        (Value::Object(own), Value::Object(said)) => {
            for (key, value) in said {
                match own.get_mut(&key) {
                    Some(own) => overlay(own, value),
                    None => drop(own.insert(key, value)),
                }
            }
        }
        (Value::Array(own), Value::Array(said))
            if said.iter().all(|item| key_of(item).is_some()) =>
        {
            for item in said {
                let known = own.iter_mut().find(|known| key_of(known) == key_of(&item));
                match known {
                    Some(known) => overlay(known, item),
                    None => own.push(item),
                }
            }
        }
        // An object without a word about it stays.
        (Value::Object(_), Value::Null) => {}
        (own, said) => *own = said,
    }
}

/// What an item of a list is known by; none for what is no such item.
fn key_of(item: &Value) -> Option<&str> {
    KEYS.iter().find_map(|key| item.get(*key)).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::overlay;

    #[test]
    fn what_is_not_said_stays_and_null_unsets() {
        let mut own = json!({
            "group": "compute", "comment": "a", "labels": { "canary": "yes", "tier": "gpu" }, "roles": "x,y",
            "domain_search": ["a.org", "b.org"],
            "interfaces": [{ "interface": "BOOTIF", "ipaddress": "10.0.0.1", "mtu": 9000 }, { "interface": "BMC" }],
        });
        overlay(
            &mut own,
            json!({
                "comment": null, "labels": { "tier": null, "owner": "me" }, "vendor": "Acme", "domain_search": ["c.org"],
                "interfaces": [{ "interface": "BOOTIF", "mtu": 1500 }, { "interface": "eth1" }],
            }),
        );
        assert_eq!(
            own,
            json!({
                "group": "compute", "comment": null, "labels": { "canary": "yes", "tier": null, "owner": "me" }, "roles": "x,y",
                "domain_search": ["c.org"],
                "interfaces": [{ "interface": "BOOTIF", "ipaddress": "10.0.0.1", "mtu": 1500 }, { "interface": "BMC" }, { "interface": "eth1" }],
                "vendor": "Acme",
            })
        );
        overlay(&mut own["labels"], json!(null));
        assert_eq!(own["labels"]["owner"], "me");
    }
}
