//! What the proof of a boot adds to it: the exchange of its ticket, and the plan that is opened with the boot's own key.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use perilune_plan::Purpose;
use perilune_seal::{KeyPair, Sealed};
use serde_json::{Value, json};

use super::super::PORT;
use super::super::load::{Client, Request, Times};

/// Boots that are timed.
const BOOTS: usize = 200;

/// From the making of the key to the token, from there to the first plan of a node in clear, for which its host keys are made, and to the next,
/// of so many nodes with these names and MAC addresses.
pub(super) fn measure(
    token: &str,
    machines: impl Iterator<Item = (String, String)>,
) -> Result<[Times; 3]> {
    let mut client = Client::connect(PORT)?;
    let [mut exchanges, mut firsts, mut plans] = [const { Vec::new() }; 3];
    for (node, mac) in machines.take(BOOTS) {
        let window = json!({ "nodes": node, "seconds": 600 });
        client.exchange(&Request::post("/boot/window", token, &window), 200)?;
        let from = format!("{}:600", address_of(&mut client, token, &node)?);
        let search = Request::get_from(&format!("/boot/search/mac/{mac}"), "", &from);
        let script = String::from_utf8(client.exchange(&search, 200)?)?;
        let (_, ticket) = script.split_once("perilune.ticket=").context("no ticket")?;
        let ticket = ticket.split_whitespace().next().context("no ticket")?;

        let begun = Instant::now();
        let key = KeyPair::generate()?;
        let body = json!({ "ticket": ticket, "key": String::from(key.public().clone()) });
        let path = format!("/boot/ticket/{node}");
        let answer = client.exchange(&Request::post_from(&path, "", &from, &body), 201)?;
        let opened = open(&key, &answer, Purpose::Token, &node)?;
        exchanges.push(begun.elapsed());

        let own = opened.pointer("/token").and_then(Value::as_str).context("no token")?;
        let request = Request::get_from(&format!("/boot/plan/{node}"), own, &from);
        for times in [&mut firsts, &mut plans] {
            let begun = Instant::now();
            let plan = open(&key, &client.exchange(&request, 200)?, Purpose::Plan, &node)?;
            times.push(begun.elapsed());
            ensure!(plan.is_object(), "the plan is no object");
        }
    }
    Ok([exchanges, firsts, plans].map(|each| Times::new(&each, each.iter().sum())))
}

fn address_of(client: &mut Client, token: &str, node: &str) -> Result<String> {
    let path = format!("/config/node/{node}");
    let shown: Value =
        serde_json::from_slice(&client.exchange(&Request::get_from(&path, token, ""), 200)?)?;
    let address = shown.pointer(&format!("/config/node/{node}/interfaces/0/ipaddress"));
    Ok(address.and_then(Value::as_str).context("the node has no address")?.to_owned())
}

fn open(key: &KeyPair, answer: &[u8], purpose: Purpose, node: &str) -> Result<Value> {
    let sealed: Sealed = serde_json::from_slice(answer)?;
    Ok(serde_json::from_slice(&key.open(&sealed, &purpose.of(node))?)?)
}
