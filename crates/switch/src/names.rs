//! What a switch calls its ports.

use std::collections::BTreeMap;

use async_snmp::{Oid, oid};

use crate::walk::{Row, Session};
use crate::{Error, station};

/// As many interfaces as are taken from one switch.
const INTERFACES: usize = 16_384;
/// As much of a name as is kept.
const LONGEST: usize = 64;

/// Names by port number, the short one first; a switch need not tell any.
pub(crate) async fn read(session: &Session) -> Result<BTreeMap<u32, Vec<String>>, Error> {
    // dot1dBasePortIfIndex (RFC 4188); ifName and ifDescr (RFC 2863).
    let interfaces = session.rows(oid!(1, 3, 6, 1, 2, 1, 17, 1, 4, 1, 2), INTERFACES).await?;
    if interfaces.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (mut short, mut long) = tokio::try_join!(
        texts(session, oid!(1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1)),
        texts(session, oid!(1, 3, 6, 1, 2, 1, 2, 2, 1, 2)),
    )?;
    let port = |row: Row| {
        let (number, interface) = (only(&row.index)?, station::number(&row.value)?);
        let mut names: Vec<String> =
            [short.remove(&interface), long.remove(&interface)].into_iter().flatten().collect();
        names.dedup();
        Some((number, names))
    };
    Ok(interfaces.into_iter().filter_map(port).collect())
}

async fn texts(session: &Session, table: Oid) -> Result<BTreeMap<u32, String>, Error> {
    let rows = session.rows(table, INTERFACES).await?;
    let text = |row: Row| {
        let text = String::from_utf8_lossy(row.value.as_bytes()?).into_owned();
        let text: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        let text = text.trim().to_owned();
        Some((only(&row.index)?, text)).filter(|(_, text)| !text.is_empty())
    };
    Ok(rows.into_iter().filter_map(text).collect())
}

/// The number of a row that has one.
fn only(index: &[u32]) -> Option<u32> {
    match index {
        [number] => Some(*number),
        _ => None,
    }
}
