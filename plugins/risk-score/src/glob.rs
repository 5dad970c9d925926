//! Globs over paths: `?` is one character, `*` any of one name, `**` any folders, also none.
//!
//! Time is bounded by the product of both lengths, whatever the glob.

/// Whether `glob` matches all of `path`.
pub(crate) fn matches(glob: &str, path: &str) -> bool {
    let names: Vec<&str> = path.split('/').collect();
    // reached[n]: the glob so far matches the first n names
    let mut reached = vec![false; names.len() + 1];
    reached[0] = true;
    for part in glob.split('/') {
        let mut next = vec![false; names.len() + 1];
        if part == "**" {
            let first = reached.iter().position(|&is| is).unwrap_or(names.len() + 1);
            next.iter_mut().skip(first).for_each(|is| *is = true);
        } else {
            for (n, name) in names.iter().enumerate() {
                next[n + 1] = reached[n] && name_matches(part, name);
            }
        }
        reached = next;
    }
    reached[names.len()]
}

fn name_matches(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    let (mut g, mut n) = (0, 0);
    // where to go on when the text after the latest `*` does not fit: that star takes one more
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, n));
                g += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                g += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    g = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, path, is) in [
            ("**/auth/**", "src/auth/login.rs", true),
            ("**/auth/**", "auth/login.rs", true),
            ("**/auth/**", "src/author/x.rs", false),
            ("*.sql", "a.sql", true),
            ("*.sql", "db/a.sql", false),
            ("**/*.sql", "db/x/a.sql", true),
            ("src/?.rs", "src/é.rs", true),
            ("a*b*c", "axbxbxc", true),
            ("a*b*c", "axbxb", false),
            ("**", "", true),
            ("", "", true),
            ("", "a", false),
            ("**/**/**/x", "y", false),
        ] {
            assert_eq!(matches(glob, path), is, "{glob} {path}");
        }
        let deep = "a/".repeat(5000);
        assert!(!matches(&"**/a/".repeat(50), &deep.replace("a/a", "a/b")));
        assert!(!name_matches(&"*a".repeat(50), &"a".repeat(49)));
    }
}
