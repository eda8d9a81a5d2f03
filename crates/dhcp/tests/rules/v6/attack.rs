//! Whatever bytes come, and whoever sends them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Bytes that are options more often than not.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![
        prop::sample::select(vec![1_u16, 2, 3, 4, 5, 6, 9, 14, 15, 16, 25, 39, 59, 61, 79]),
        any::<u16>(),
    ];
    let value = prop::collection::vec(any::<u8>(), 0..40);
    let option = (code, value).prop_map(|(code, value)| {
        let length = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&code.to_be_bytes()[..], &length, &value].concat()
    });
    let right = prop::collection::vec(option, 0..6).prop_map(|all| all.concat());
    prop_oneof![4 => right, 1 => prop::collection::vec(any::<u8>(), 0..120)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_gets_what_is_not_his(
        messages in prop::collection::vec((1..6_u8, 0..14_u8, options(), any::<bool>()), 1..30),
    ) {
        let mut site = Site::new();
        let range = ip("fd00:141::100")..=ip("fd00:141::103");
        let mut holders = BTreeMap::new();
        for (last, kind, options, is_whole) in messages {
            let source = ip(&format!("fe80::5054:ff:fe00:{last:x}"));
            let bytes = if is_whole {
                let duid = [&[0, 1, 0, 10, 0, 3, 0, 1][..], mac(last).as_bytes()].concat();
                let association = [0, 3, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
                [&[kind, 0, 0, last][..], &duid, &association, &options].concat()
            } else {
                [&[kind, 0, 0, last][..], &options].concat()
            };
            let Some(request) = Request::read(&bytes, source, Some(mac(last))) else { continue };
            let decision = reply(&site.cluster, &mut site.leases, &policy(), &request, site.now).0;
            site.now += 1;
            let Decision::Answer(answer) = decision else { continue };
            let Some(given) = answer.address else { continue };
            let reserved = (answer.mac == mac(1)).then(|| ip("fd00:141::1"));
            let is_own = reserved.map_or_else(|| range.contains(&given), |own| own == given);
            prop_assert!(is_own, "{} was given {given}", answer.mac);
            // Of those who hold it at this time.
            if let Some(lease) = answer.lease {
                let holder = holders.insert(given, (answer.mac, lease.until));
                let is_free = holder.is_none_or(|(mac, until)| mac == answer.mac || until <= site.now)
                    || !site.leases.is_lent(given.into(), holder.unwrap().0, site.now);
                prop_assert!(is_free, "{given} is lent to two machines");
            }
        }
    }
}
