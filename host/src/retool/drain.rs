//! Draining: while items are at stations that a new revision does not have, the line runs by the new one
//! with those stations beside it. Nothing leads to them any more, so that they become empty. Pure.

use crate::{assembly::Revision, name::Name};
use std::{collections::BTreeSet, path::Path};

/// The new revision with stations of the old one that it does not have. `state` is the state folder,
/// absolute.
///
/// # Errors
/// When a station cannot go on beside the new revision: why.
pub(super) fn beside(
    new: &Revision,
    old: &Revision,
    stations: &BTreeSet<Name>,
    state: &Path,
) -> Result<Revision, String> {
    let mut both = new.clone();
    // What leads on from one that stays has to stay as well.
    let mut staying: Vec<&Name> = stations.iter().collect();
    while let Some(name) = staying.pop() {
        let Some(station) = old.line.stations.get(name) else {
            continue;
        };
        if both.line.stations.contains_key(name) {
            continue;
        }
        let joins = |of: &Name| new.line.join_of(of).map(|(by, _)| by);
        if let Some(by) = station.join.as_ref().and_then(|join| joins(&join.of)) {
            return Err(format!(
                "station `{name}` cannot be drained: `{by}` of the new revision joins the same items\n  hint: `--move {name}=OTHER` sends its items to another station"
            ));
        }
        let mut station = station.clone();
        staying.extend(old.line.stations[name].downstream());
        if new.folder != old.folder {
            for mount in &mut station.grants.fs {
                mount.host = state.join(&old.folder).join(&mount.host);
            }
        }
        both.line.stations.insert(name.clone(), station);
        both.components.extend(
            old.components
                .get(name)
                .map(|digest| (name.clone(), *digest)),
        );
    }
    Ok(both)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        digest::Digest,
        line::{self, Vars},
    };

    fn revision(text: &str, folder: &str) -> Revision {
        let text = format!("line = \"l\"\nentry = \"a\"\n{text}");
        let line = line::parse("line.toml", &text, &Vars::default())
            .expect("a line")
            .line;
        let components = line
            .stations
            .keys()
            .map(|name| (name.clone(), Digest::of(folder)));
        Revision {
            components: components.collect(),
            folder: folder.into(),
            file: None,
            line,
        }
    }

    fn names(of: &[&str]) -> BTreeSet<Name> {
        of.iter()
            .map(|name| name.parse().expect("a name"))
            .collect()
    }

    #[test]
    fn stations_that_go_stay_beside_the_new_ones_with_what_they_lead_to() {
        let old = revision(
            "[stations.a]\nuse='x'\nnext='b'\n[stations.b]\nuse='x'\nnext='c'\ngrants.fs=[{host='d', guest='/d', access='read'}]\n[stations.c]\nuse='x'\nnext='done'",
            "../old",
        );
        let new = revision("[stations.a]\nuse='y'\nnext='done'", "../new");
        let both = beside(&new, &old, &names(&["b"]), Path::new("/s/.andon")).expect("it goes");
        let there: Vec<_> = both.line.stations.keys().map(Name::as_str).collect();
        assert_eq!(there, ["a", "b", "c"]);
        assert_eq!(both.line.stations["a"], new.line.stations["a"]);
        assert_eq!(both.components["b"], Digest::of("../old"));
        let host = &both.line.stations["b"].grants.fs[0].host;
        assert_eq!(host, Path::new("/s/.andon/../old/d"));
        assert_eq!(beside(&new, &old, &names(&[]), Path::new("/s")), Ok(new));
    }

    #[test]
    fn two_joins_of_one_split_do_not_stand_beside_each_other() {
        let with = |join: &str| {
            revision(
                &format!(
                    "[stations.a]\nuse='x'\nnext='{join}'\n[stations.{join}]\nuse='x'\nnext='done'\njoin={{of='a'}}"
                ),
                "..",
            )
        };
        let told = beside(&with("k"), &with("j"), &names(&["j"]), Path::new("/s"));
        insta::assert_snapshot!(told.expect_err("it does not go"));
    }
}
