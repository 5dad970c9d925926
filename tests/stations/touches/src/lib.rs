//! Makes the file calls that the lines of its input ask for, by WASI 0.2 itself, and tells what came of
//! each. Folders go by the paths that the guest is told; what is opened gets a name.

use std::{collections::BTreeMap, io::Read as _, io::Write as _};
use wasip2::{
    cli,
    filesystem::{
        preopens,
        types::{
            Descriptor, DescriptorFlags, DescriptorType, ErrorCode, NewTimestamp, OpenFlags,
            PathFlags, filesystem_error_code,
        },
    },
    io::streams::{OutputStream, StreamError},
};

struct It;

type Came = Result<String, String>;

impl wasip2::exports::cli::run::Guest for It {
    fn run() -> Result<(), ()> {
        let mut script = String::new();
        let read = cli::stdin::get_stdin().read_to_string(&mut script);
        read.map_err(|_| ())?;
        let mut open: BTreeMap<String, Descriptor> = BTreeMap::new();
        for (descriptor, path) in preopens::get_directories() {
            open.insert(path, descriptor);
        }
        let mut told = String::new();
        for line in script.lines().filter(|line| !line.is_empty()) {
            let words: Vec<String> = line.split(' ').map(unescape).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let (Ok(came) | Err(came)) = calls(&mut open, &words);
            told += &came;
            told.push('\n');
        }
        let mut out = cli::stdout::get_stdout();
        out.write_all(told.as_bytes()).map_err(|_| ())?;
        out.flush().map_err(|_| ())
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
fn calls(open: &mut BTreeMap<String, Descriptor>, words: &[&str]) -> Came {
    if let ["never", text, times, words @ ..] = words {
        for _ in 0..number(times) {
            let (Ok(came) | Err(came)) = call(open, words);
            if came.contains(text) {
                return Err(came);
            }
        }
        return ok(Ok(()));
    }
    let ["many", times, words @ ..] = words else {
        return call(open, words);
    };
    for n in 0..number(times) {
        let words: Vec<String> = words
            .iter()
            .map(|w| w.replace('#', &n.to_string()))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        call(open, &words).map_err(|error| format!("{n} ok, then {error}"))?;
    }
    Ok(format!("{times} ok"))
}

fn call(open: &mut BTreeMap<String, Descriptor>, words: &[&str]) -> Came {
    let of = |name: &str| open.get(name).ok_or_else(|| format!("no `{name}`"));
    let follow = PathFlags::SYMLINK_FOLLOW;
    match *words {
        ["open", name, dir, path, ref flags @ ..] => {
            let opened = of(dir)?.open_at(
                path_flags(flags),
                path,
                open_flags(flags),
                descriptor_flags(flags),
            );
            open.insert(name.into(), opened.map_err(code)?);
            ok(Ok(()))
        }
        ["close", name] => match open.remove(name) {
            Some(_) => ok(Ok(())),
            None => Err(format!("no `{name}`")),
        },
        ["read", name, offset, len] => {
            let (bytes, _) = of(name)?.read(number(len), number(offset)).map_err(code)?;
            Ok(format!("{:?}", String::from_utf8_lossy(&bytes)))
        }
        ["write", name, offset, text] => {
            let n = of(name)?
                .write(text.as_bytes(), number(offset))
                .map_err(code)?;
            Ok(format!("{n} bytes"))
        }
        ["stream", name, offset, count] => {
            let stream = of(name)?.write_via_stream(number(offset)).map_err(code)?;
            pour(&stream, number(count))
        }
        ["append", name, count] => {
            let stream = of(name)?.append_via_stream().map_err(code)?;
            pour(&stream, number(count))
        }
        // Without waiting for each piece, as a program that polls does it.
        ["poll", name, offset, count] => {
            let stream = of(name)?.write_via_stream(number(offset)).map_err(code)?;
            let mut left = number(count) as usize;
            while left > 0 {
                stream.subscribe().block();
                let room = stream.check_write().map_err(failed)? as usize;
                let piece = left.min(room);
                stream.write(&vec![b'x'; piece]).map_err(failed)?;
                left -= piece;
            }
            stream.flush().map_err(failed)?;
            stream.subscribe().block();
            ok(stream.check_write().map(|_| ()).map_err(failed))
        }
        ["zeroes", name, offset, count] => {
            let stream = of(name)?.write_via_stream(number(offset)).map_err(code)?;
            let mut left = number(count);
            while left > 0 {
                let piece = left.min(4096);
                stream
                    .blocking_write_zeroes_and_flush(piece)
                    .map_err(failed)?;
                left -= piece;
            }
            ok(Ok(()))
        }
        ["splice", from, to, offset, count] => {
            let source = of(from)?.read_via_stream(0).map_err(code)?;
            let stream = of(to)?.write_via_stream(number(offset)).map_err(code)?;
            let n = stream
                .blocking_splice(&source, number(count))
                .map_err(failed)?;
            stream.blocking_flush().map_err(failed)?;
            Ok(format!("{n} bytes"))
        }
        ["drain", name, offset] => {
            let stream = of(name)?.read_via_stream(number(offset)).map_err(code)?;
            let mut bytes = 0;
            loop {
                match stream.blocking_read(65_536) {
                    Ok(read) => bytes += read.len(),
                    Err(StreamError::Closed) => return Ok(format!("{bytes} bytes")),
                    Err(error) => return Err(failed(error)),
                }
            }
        }
        ["cat", dir, path] => {
            let file = of(dir)?.open_at(follow, path, OpenFlags::empty(), read());
            let (bytes, _) = file.and_then(|file| file.read(65_536, 0)).map_err(code)?;
            Ok(format!("{:?}", String::from_utf8_lossy(&bytes)))
        }
        ["size", name, size] => ok(of(name)?.set_size(number(size)).map_err(code)),
        ["sync", name] => ok(of(name)?
            .sync()
            .and_then(|()| of_data(of(name)))
            .map_err(code)),
        ["mkdir", dir, path] => ok(of(dir)?.create_directory_at(path).map_err(code)),
        ["rmdir", dir, path] => ok(of(dir)?.remove_directory_at(path).map_err(code)),
        ["unlink", dir, path] => ok(of(dir)?.unlink_file_at(path).map_err(code)),
        ["symlink", dir, target, path] => ok(of(dir)?.symlink_at(target, path).map_err(code)),
        ["link", dir, old, to, new] => {
            let linked = of(dir)?.link_at(PathFlags::empty(), old, of(to)?, new);
            ok(linked.map_err(code))
        }
        ["link-followed", dir, old, to, new] => {
            ok(of(dir)?.link_at(follow, old, of(to)?, new).map_err(code))
        }
        ["rename", dir, old, to, new] => ok(of(dir)?.rename_at(old, of(to)?, new).map_err(code)),
        ["readlink", dir, path] => of(dir)?.readlink_at(path).map_err(code),
        ["stat", dir, path, ref flags @ ..] => {
            let stat = of(dir)?.stat_at(path_flags(flags), path).map_err(code)?;
            Ok(shown(stat.type_, stat.size, stat.link_count))
        }
        ["fstat", name] => {
            let stat = of(name)?.stat().map_err(code)?;
            Ok(shown(stat.type_, stat.size, stat.link_count))
        }
        ["type", name] => Ok(kind(of(name)?.get_type().map_err(code)?).into()),
        ["flags", name] => Ok(format!("{:?}", of(name)?.get_flags().map_err(code)?)),
        ["touch", dir, path, ref flags @ ..] => {
            let at = NewTimestamp::Timestamp(wasip2::clocks::wall_clock::Datetime {
                seconds: 1_000_000_000,
                nanoseconds: 5,
            });
            let dir = of(dir)?;
            let set = dir.set_times_at(path_flags(flags), path, NewTimestamp::NoChange, at);
            set.map_err(code)?;
            let stat = dir.stat_at(path_flags(flags), path).map_err(code)?;
            let time = stat.data_modification_timestamp.ok_or("no time")?;
            Ok(format!("{}.{}", time.seconds, time.nanoseconds))
        }
        ["same", one, other] => Ok(of(one)?.is_same_object(of(other)?).to_string()),
        ["hash", one, other] => {
            let (one, other) = (of(one)?.metadata_hash(), of(other)?.metadata_hash());
            let (one, other) = (one.map_err(code)?, other.map_err(code)?);
            Ok((one.lower == other.lower && one.upper == other.upper).to_string())
        }
        ["list", dir] => {
            let mut names = names(of(dir)?)?;
            names.sort();
            Ok(names.join(" "))
        }
        ["count", dir] => Ok(names(of(dir)?)?.len().to_string()),
        // Folders in folders, each opened from the one above.
        ["deep", dir, count] => {
            let mut at = of(dir)?
                .open_at(follow, ".", OpenFlags::DIRECTORY, read())
                .map_err(code)?;
            for _ in 0..number(count) {
                at.create_directory_at("d").map_err(code)?;
                at = at
                    .open_at(follow, "d", OpenFlags::DIRECTORY, read())
                    .map_err(code)?;
            }
            ok(Ok(()))
        }
        _ => Err(format!("`{}` is unknown", words.join(" "))),
    }
}

fn of_data(of: Result<&Descriptor, String>) -> Result<(), ErrorCode> {
    of.map_err(|_| ErrorCode::BadDescriptor)?.sync_data()
}

fn read() -> DescriptorFlags {
    DescriptorFlags::READ
}

fn pour(stream: &OutputStream, count: u64) -> Came {
    let mut left = count as usize;
    while left > 0 {
        let piece = left.min(4096);
        stream
            .blocking_write_and_flush(&vec![b'x'; piece])
            .map_err(failed)?;
        left -= piece;
    }
    ok(Ok(()))
}

fn names(dir: &Descriptor) -> Result<Vec<String>, String> {
    let entries = dir.read_directory().map_err(code)?;
    let mut names = Vec::new();
    loop {
        match entries.read_directory_entry() {
            Ok(None) => return Ok(names),
            Ok(Some(entry)) => names.push(match entry.type_ {
                DescriptorType::RegularFile => entry.name,
                other => format!("{}:{}", entry.name, kind(other)),
            }),
            Err(error) => names.push(code(error)),
        }
    }
}

fn ok(done: Result<(), String>) -> Came {
    done.map(|()| "ok".into())
}

fn code(error: ErrorCode) -> String {
    error.name().into()
}

fn failed(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".into(),
        StreamError::LastOperationFailed(error) => match filesystem_error_code(&error) {
            Some(error) => code(error),
            None => error.to_debug_string(),
        },
    }
}

fn number(word: &str) -> u64 {
    word.parse().expect("a number")
}

fn shown(kind_: DescriptorType, size: u64, links: u64) -> String {
    match kind_ {
        DescriptorType::RegularFile => format!("file of {size} bytes, {links} links"),
        other => kind(other).into(),
    }
}

fn kind(kind: DescriptorType) -> &'static str {
    match kind {
        DescriptorType::RegularFile => "file",
        DescriptorType::Directory => "folder",
        DescriptorType::SymbolicLink => "link",
        DescriptorType::Fifo => "pipe",
        DescriptorType::Socket => "socket",
        DescriptorType::BlockDevice | DescriptorType::CharacterDevice => "device",
        DescriptorType::Unknown => "unknown",
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

wasip2::cli::command::export!(It);
