//! Checks of what one station is granted: nothing twice, nothing without effect.

use crate::{
    grant::{AddressClass, Grants, address_class, unreached},
    line::Draft,
    problem::{Problem, shown},
};
use core::net::IpAddr;

pub(super) fn check(draft: &Draft, path: &str, grants: &Grants, problems: &mut Vec<Problem>) {
    let path = format!("{path}.grants");
    let http = grants.http.iter().map(|grant| &grant.rule.host).enumerate();
    let tcp = grants.tcp.iter().map(|grant| &grant.rule.host).enumerate();
    let all = http.map(|(n, host)| (format!("{path}.http.{n}"), host));
    for (at, host) in all.chain(tcp.map(|(n, host)| (format!("{path}.tcp.{n}"), host))) {
        let never = |address: &IpAddr| address_class(*address) == AddressClass::Never;
        if let Some(address) = host.address().filter(never)
            && draft.sound(&path)
        {
            problems.push(
                draft
                    .problem(&at, format!("`{address}` is no address of a machine"))
                    .hint("nothing is dialled there; name another host"),
            );
        }
    }
    if draft.sound(&format!("{path}.http")) {
        for (n, before) in unreached(&grants.http, |a, b| a.rule.covers(&b.rule)) {
            let before = grants.http[before].rule.to_string();
            problems.push(twice(draft, &format!("{path}.http.{n}"), "call", &before));
        }
    }
    if draft.sound(&format!("{path}.tcp")) {
        for (n, before) in unreached(&grants.tcp, |a, b| a.rule.covers(&b.rule)) {
            let before = grants.tcp[before].rule.to_string();
            problems.push(twice(
                draft,
                &format!("{path}.tcp.{n}"),
                "connection",
                &before,
            ));
        }
    }
    if draft.sound(&path) {
        secrets(draft, &format!("{path}.secrets"), grants, problems);
    }
}

fn twice(draft: &Draft, at: &str, what: &str, before: &str) -> Problem {
    draft
        .problem(
            at,
            format!(
                "no {what} comes to this grant: `{}` before it is for all of them",
                shown(before)
            ),
        )
        .hint("the first that is for a call decides; take one of the two out, or put the narrower one first")
}

fn secrets(draft: &Draft, path: &str, grants: &Grants, problems: &mut Vec<Problem>) {
    let same = unreached(&grants.secrets, |a, b| {
        a.place == b.place && a.r#for.covers(&b.r#for)
    });
    for (n, before) in same {
        problems.push(
            draft
                .problem(
                    &format!("{path}.{n}"),
                    format!(
                        "`{}` is never put there: `{}` is, into all of these calls, by a grant before it",
                        grants.secrets[n].name, grants.secrets[before].name
                    ),
                )
                .hint("take one of the two out, or put the narrower one first"),
        );
    }
    for (n, secret) in grants.secrets.iter().enumerate() {
        if !grants
            .http
            .iter()
            .any(|http| http.rule.meets(&secret.r#for))
        {
            problems.push(
                draft
                    .problem(
                        &format!("{path}.{n}.for"),
                        format!(
                            "`{}` is put into no call: none to `{}` is granted",
                            secret.name,
                            shown(&secret.r#for.to_string())
                        ),
                    )
                    .hint(format!(
                        "`grants.http = [\"{}\"]` grants them",
                        secret.r#for
                    )),
            );
        }
    }
}
