use super::*;

fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn opening_and_reading_touch_no_disk() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("blobs");
    let content = Content::open(&root);
    assert!(content.get(&Digest::of(b"x")).unwrap().is_none());
    assert!(!root.exists());
}

#[test]
fn a_failed_copy_leaves_nothing_behind() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the cable is out"))
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let content = Content::open(dir.path());
    let error = content.copy(&mut b"ab".chain(Broken), 99).unwrap_err();
    assert!(error.to_string().contains("the cable is out"), "{error}");
    let error = content.copy(&mut &b"abc"[..], 2).unwrap_err();
    assert_eq!(error.kind, io::ErrorKind::FileTooLarge);
    assert_eq!(files(dir.path()), Vec::<String>::new());
}

#[test]
fn a_file_in_the_way_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("blobs");
    fs::write(&root, "").unwrap();
    let error = Content::open(&root).put(b"abc").unwrap_err();
    assert_eq!(error.kind, io::ErrorKind::NotADirectory);
    assert!(
        error.to_string().contains(root.to_str().unwrap()),
        "{error}"
    );
}

#[test]
fn what_a_crash_left_is_removed_by_the_next_writer() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("tmp")).unwrap();
    fs::write(dir.path().join("tmp/17-0"), "half").unwrap();
    let content = Content::open(dir.path());
    let digest = content.put(b"whole").unwrap();
    let text = digest.to_string();
    assert_eq!(
        files(dir.path()),
        [format!("{}/{}", &text[..2], &text[2..])]
    );
}

#[test]
fn a_blob_cut_short_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let content = Content::open(dir.path());
    let digest = content.put(b"abcdef").unwrap();
    fs::write(content.path(&digest), "abc").unwrap();
    content.put(b"abcdef").unwrap();
    assert_eq!(content.get(&digest).unwrap().unwrap(), "abcdef");
}

#[test]
fn the_same_bytes_from_many_threads_are_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let content = Content::open(dir.path());
    let bytes = vec![7; 300_000];
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                assert_eq!(content.put(&bytes).unwrap(), Digest::of(&bytes));
                assert_eq!(
                    content.copy(&mut &bytes[..], 300_000).unwrap(),
                    (Digest::of(&bytes), 300_000)
                );
            });
        }
    });
    assert_eq!(files(dir.path()).len(), 1);
    assert_eq!(content.get(&Digest::of(&bytes)).unwrap().unwrap(), bytes);
}
