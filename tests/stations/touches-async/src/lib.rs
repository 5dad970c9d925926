//! The same as `touches`, by WASI 0.3 itself: reads, writes and listings are streams there.

use std::collections::BTreeMap;
use wasip3::{
    cli, clocks,
    filesystem::{
        preopens,
        types::{
            Descriptor, DescriptorFlags, DescriptorType, ErrorCode, NewTimestamp, OpenFlags,
            PathFlags,
        },
    },
    wit_bindgen, wit_stream,
};

struct It;

type Came = Result<String, String>;

impl wasip3::exports::cli::run::Guest for It {
    async fn run() -> Result<(), ()> {
        let (input, _) = cli::stdin::read_via_stream();
        let script = String::from_utf8(input.collect().await).map_err(|_| ())?;
        let mut open: BTreeMap<String, Descriptor> = BTreeMap::new();
        for (descriptor, path) in preopens::get_directories() {
            open.insert(path, descriptor);
        }
        let mut told = String::new();
        for line in script.lines().filter(|line| !line.is_empty()) {
            let words: Vec<String> = line.split(' ').map(unescape).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let (Ok(came) | Err(came)) = calls(&mut open, &words).await;
            told += &came;
            told.push('\n');
        }
        let (mut writer, reader) = wit_stream::new();
        let done = cli::stdout::write_via_stream(reader);
        let rest = writer.write_all(told.into_bytes()).await;
        drop(writer);
        if !rest.is_empty() || done.await.is_err() {
            return Err(());
        }
        Ok(())
    }
}

fn unescape(word: &str) -> String {
    word.replace("\\n", "\n")
        .replace("\\e", "\u{1b}")
        .replace("\\_", " ")
        .replace("\\0", "\0")
}

/// One call, or the same one a number of times, `#` being the number; until it fails, or until its
/// answer has some text in it.
async fn calls(open: &mut BTreeMap<String, Descriptor>, words: &[&str]) -> Came {
    if let ["never", text, times, words @ ..] = words {
        for _ in 0..number(times) {
            let (Ok(came) | Err(came)) = call(open, words).await;
            if came.contains(text) {
                return Err(came);
            }
        }
        return ok(Ok(()));
    }
    let ["many", times, words @ ..] = words else {
        return call(open, words).await;
    };
    for n in 0..number(times) {
        let words: Vec<String> = words
            .iter()
            .map(|w| w.replace('#', &n.to_string()))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let called = call(open, &words).await;
        called.map_err(|error| format!("{n} ok, then {error}"))?;
    }
    Ok(format!("{times} ok"))
}

async fn call(open: &mut BTreeMap<String, Descriptor>, words: &[&str]) -> Came {
    let of = |name: &str| open.get(name).ok_or_else(|| format!("no `{name}`"));
    let follow = PathFlags::SYMLINK_FOLLOW;
    match *words {
        ["open", name, dir, path, ref flags @ ..] => {
            let opened = of(dir)?.open_at(
                path_flags(flags),
                path.into(),
                open_flags(flags),
                descriptor_flags(flags),
            );
            let opened = opened.await.map_err(code)?;
            open.insert(name.into(), opened);
            ok(Ok(()))
        }
        ["close", name] => match open.remove(name) {
            Some(_) => ok(Ok(())),
            None => Err(format!("no `{name}`")),
        },
        ["read", name, offset, len] => {
            let (mut stream, ended) = of(name)?.read_via_stream(number(offset));
            let (mut bytes, len) = (Vec::new(), number(len) as usize);
            while let Some(byte) = stream.next().await {
                bytes.push(byte);
                if bytes.len() >= len {
                    return Ok(format!("{:?}", String::from_utf8_lossy(&bytes)));
                }
            }
            ended.await.map_err(code)?;
            Ok(format!("{:?}", String::from_utf8_lossy(&bytes)))
        }
        ["write", name, offset, text] => {
            let (writer, reader) = wit_stream::new();
            let ended = of(name)?.write_via_stream(reader, number(offset));
            pour(writer, text.as_bytes().to_vec(), ended).await?;
            Ok(format!("{} bytes", text.len()))
        }
        ["stream" | "poll", name, offset, count] => {
            let (writer, reader) = wit_stream::new();
            let ended = of(name)?.write_via_stream(reader, number(offset));
            ok(pour(writer, vec![b'x'; number(count) as usize], ended).await)
        }
        ["append", name, count] => {
            let (writer, reader) = wit_stream::new();
            let ended = of(name)?.append_via_stream(reader);
            ok(pour(writer, vec![b'x'; number(count) as usize], ended).await)
        }
        // What one file gives goes to the other, and the guest sees none of it.
        ["splice", from, to, offset, _] => {
            let (stream, _) = of(from)?.read_via_stream(0);
            let ended = of(to)?.write_via_stream(stream, number(offset));
            ok(ended.await.map_err(code))
        }
        ["drain", name, offset] => {
            let (stream, ended) = of(name)?.read_via_stream(number(offset));
            let bytes = stream.collect().await;
            ended.await.map_err(code)?;
            Ok(format!("{} bytes", bytes.len()))
        }
        ["cat", dir, path] => {
            let (none, read) = (OpenFlags::empty(), DescriptorFlags::READ);
            let file = of(dir)?.open_at(follow, path.into(), none, read).await;
            let (stream, ended) = file.map_err(code)?.read_via_stream(0);
            let bytes = stream.collect().await;
            ended.await.map_err(code)?;
            Ok(format!("{:?}", String::from_utf8_lossy(&bytes)))
        }
        ["size", name, size] => ok(of(name)?.set_size(number(size)).await.map_err(code)),
        ["sync", name] => {
            let of = of(name)?;
            of.sync().await.map_err(code)?;
            ok(of.sync_data().await.map_err(code))
        }
        ["mkdir", dir, path] => ok(of(dir)?
            .create_directory_at(path.into())
            .await
            .map_err(code)),
        ["rmdir", dir, path] => ok(of(dir)?
            .remove_directory_at(path.into())
            .await
            .map_err(code)),
        ["unlink", dir, path] => ok(of(dir)?.unlink_file_at(path.into()).await.map_err(code)),
        ["symlink", dir, target, path] => {
            let made = of(dir)?.symlink_at(target.into(), path.into()).await;
            ok(made.map_err(code))
        }
        ["link", dir, old, to, new] => {
            let flags = PathFlags::empty();
            let linked = of(dir)?.link_at(flags, old.into(), of(to)?, new.into());
            ok(linked.await.map_err(code))
        }
        ["link-followed", dir, old, to, new] => {
            let linked = of(dir)?.link_at(follow, old.into(), of(to)?, new.into());
            ok(linked.await.map_err(code))
        }
        ["rename", dir, old, to, new] => {
            let renamed = of(dir)?.rename_at(old.into(), of(to)?, new.into()).await;
            ok(renamed.map_err(code))
        }
        ["readlink", dir, path] => of(dir)?.readlink_at(path.into()).await.map_err(code),
        ["stat", dir, path, ref flags @ ..] => {
            let stat = of(dir)?.stat_at(path_flags(flags), path.into()).await;
            let stat = stat.map_err(code)?;
            Ok(shown(&stat.type_, stat.size, stat.link_count))
        }
        ["fstat", name] => {
            let stat = of(name)?.stat().await.map_err(code)?;
            Ok(shown(&stat.type_, stat.size, stat.link_count))
        }
        ["type", name] => Ok(kind(&of(name)?.get_type().await.map_err(code)?).into()),
        ["flags", name] => Ok(format!("{:?}", of(name)?.get_flags().await.map_err(code)?)),
        ["touch", dir, path, ref flags @ ..] => {
            let at = NewTimestamp::Timestamp(clocks::system_clock::Instant {
                seconds: 1_000_000_000,
                nanoseconds: 5,
            });
            let dir = of(dir)?;
            let flags = path_flags(flags);
            let set = dir.set_times_at(flags, path.into(), NewTimestamp::NoChange, at);
            set.await.map_err(code)?;
            let stat = dir.stat_at(flags, path.into()).await.map_err(code)?;
            let time = stat.data_modification_timestamp.ok_or("no time")?;
            Ok(format!("{}.{}", time.seconds, time.nanoseconds))
        }
        ["same", one, other] => Ok(of(one)?.is_same_object(of(other)?).await.to_string()),
        ["hash", one, other] => {
            let one = of(one)?.metadata_hash().await.map_err(code)?;
            let other = of(other)?.metadata_hash().await.map_err(code)?;
            Ok((one.lower == other.lower && one.upper == other.upper).to_string())
        }
        ["list", dir] => {
            let mut names = names(of(dir)?).await?;
            names.sort();
            Ok(names.join(" "))
        }
        ["count", dir] => Ok(names(of(dir)?).await?.len().to_string()),
        // Folders in folders, each opened from the one above.
        ["deep", dir, count] => {
            let open = async |at: &Descriptor, path: &str| {
                let (folder, read) = (OpenFlags::DIRECTORY, DescriptorFlags::READ);
                at.open_at(follow, path.into(), folder, read)
                    .await
                    .map_err(code)
            };
            let mut at = open(of(dir)?, ".").await?;
            for _ in 0..number(count) {
                at.create_directory_at("d".into()).await.map_err(code)?;
                at = open(&at, "d").await?;
            }
            ok(Ok(()))
        }
        _ => Err(format!("`{}` is unknown", words.join(" "))),
    }
}

async fn pour(
    mut writer: wit_bindgen::StreamWriter<u8>,
    bytes: Vec<u8>,
    ended: wit_bindgen::FutureReader<Result<(), ErrorCode>>,
) -> Result<(), String> {
    // A file that takes no more closes the stream; its answer says why.
    let _ = writer.write_all(bytes).await;
    drop(writer);
    ended.await.map_err(code)
}

async fn names(dir: &Descriptor) -> Result<Vec<String>, String> {
    let (stream, ended) = dir.read_directory();
    let mut names = Vec::new();
    for entry in stream.collect().await {
        names.push(match entry.type_ {
            DescriptorType::RegularFile => entry.name,
            other => format!("{}:{}", entry.name, kind(&other)),
        });
    }
    if let Err(error) = ended.await {
        names.push(code(error));
    }
    Ok(names)
}

fn ok(done: Result<(), String>) -> Came {
    done.map(|()| "ok".into())
}

/// The name of an error as WIT has it.
fn code(error: ErrorCode) -> String {
    let name = format!("{error:?}");
    let name = name.rsplit("::").next().unwrap_or_default();
    let mut words = String::new();
    for c in name.chars().filter(char::is_ascii_alphanumeric) {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push('-');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

fn number(word: &str) -> u64 {
    word.parse().expect("a number")
}

fn shown(of: &DescriptorType, size: u64, links: u64) -> String {
    match of {
        DescriptorType::RegularFile => format!("file of {size} bytes, {links} links"),
        other => kind(other).into(),
    }
}

fn kind(kind: &DescriptorType) -> &'static str {
    match kind {
        DescriptorType::RegularFile => "file",
        DescriptorType::Directory => "folder",
        DescriptorType::SymbolicLink => "link",
        DescriptorType::Fifo => "pipe",
        DescriptorType::Socket => "socket",
        DescriptorType::BlockDevice | DescriptorType::CharacterDevice => "device",
        DescriptorType::Other(_) => "unknown",
    }
}

fn path_flags(flags: &[&str]) -> PathFlags {
    match flags.contains(&"nofollow") {
        true => PathFlags::empty(),
        false => PathFlags::SYMLINK_FOLLOW,
    }
}

fn open_flags(flags: &[&str]) -> OpenFlags {
    let mut all = OpenFlags::empty();
    for flag in flags {
        all |= match *flag {
            "create" => OpenFlags::CREATE,
            "new" => OpenFlags::EXCLUSIVE,
            "truncate" => OpenFlags::TRUNCATE,
            "folder" => OpenFlags::DIRECTORY,
            _ => OpenFlags::empty(),
        };
    }
    all
}

fn descriptor_flags(flags: &[&str]) -> DescriptorFlags {
    let mut all = DescriptorFlags::empty();
    for flag in flags {
        all |= match *flag {
            "read" => DescriptorFlags::READ,
            "write" => DescriptorFlags::WRITE,
            "sync" => DescriptorFlags::FILE_INTEGRITY_SYNC,
            _ => DescriptorFlags::empty(),
        };
    }
    all
}

wasip3::cli::command::export!(It);
