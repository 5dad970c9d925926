//! What file calls do, as POSIX and WASI have it: wherever a guest may try something odd, it gets the
//! error that it would get elsewhere.

use super::{STATIONS, Script, Trial};

#[test]
fn files_behave_as_they_do_elsewhere() {
    assert!(BEHAVIOURS.len() >= 40);
    for station in STATIONS {
        Trial::of(station, "").passes(BEHAVIOURS);
    }
}

const BEHAVIOURS: &[Script] = &[
    (
        "a new file is empty and takes what is written",
        "open f /workspace a create write read => ok
         fstat f => file of 0 bytes, 1 links
         write f 0 hello => 5 bytes
         read f 1 3 => \"ell\"
         read f 9 3 => \"\"
         fstat f => file of 5 bytes, 1 links",
    ),
    (
        "a write beyond the end leaves a hole",
        "open f /workspace a create write read => ok
         write f 3 x => 1 bytes
         read f 0 9 => \"\\0\\0\\0x\"",
    ),
    (
        "a write in the middle does not shorten",
        "open f /workspace a create write read => ok
         write f 0 hello => 5 bytes
         write f 1 E => 1 bytes
         read f 0 9 => \"hEllo\"",
    ),
    (
        "opening with truncate empties",
        "open f /workspace a create write => ok
         write f 0 hello => 5 bytes
         open g /workspace a truncate write => ok
         fstat g => file of 0 bytes, 1 links
         fstat f => file of 0 bytes, 1 links",
    ),
    (
        "truncate without write empties as well",
        "open f /workspace a create write => ok
         write f 0 hello => 5 bytes
         open g /workspace a truncate => ok
         fstat f => file of 0 bytes, 1 links",
    ),
    (
        "opening what is there with create keeps it",
        "open f /workspace a create write => ok
         write f 0 hello => 5 bytes
         open g /workspace a create write read => ok
         read g 0 9 => \"hello\"",
    ),
    (
        "making anew what is there fails",
        "open f /workspace a create new write => ok
         open g /workspace a create new write => exist
         mkdir /workspace d => ok
         open g /workspace d create new write => exist
         mkdir /workspace d => exist
         mkdir /workspace a => exist",
    ),
    (
        "a size may grow and shrink",
        "open f /workspace a create write read => ok
         size f 4 => ok
         read f 0 9 => \"\\0\\0\\0\\0\"
         write f 0 hello => 5 bytes
         size f 2 => ok
         read f 0 9 => \"he\"",
    ),
    (
        "what is missing is missing",
        "open f /workspace a read => no-entry
         open f /workspace a truncate write => no-entry
         open f /workspace a/b create write => no-entry
         stat /workspace a => no-entry
         unlink /workspace a => no-entry
         rmdir /workspace a => no-entry
         mkdir /workspace a/b => no-entry
         readlink /workspace a => no-entry
         rename /workspace a /workspace b => no-entry
         link /workspace a /workspace b => no-entry
         touch /workspace a => no-entry",
    ),
    (
        "a file is no folder",
        "open f /workspace a create write => ok
         open g /workspace a folder read => not-directory
         open g /workspace a/b read => not-directory
         open g /workspace a/b create write => not-directory
         mkdir /workspace a/b => not-directory
         stat /workspace a/b => not-directory
         rmdir /workspace a => not-directory
         open g f b read => not-directory
         mkdir f b => not-directory
         list f => not-directory",
    ),
    (
        "a folder is no file",
        "mkdir /workspace d => ok
         open f /workspace d write => is-directory
         open f /workspace d create write => is-directory
         unlink /workspace d => is-directory
         open f /workspace d read => ok
         type f => folder
         2: read f 0 9 => bad-descriptor
         3: read f 0 9 => is-directory
         drain f 0 => is-directory
         write f 0 x => bad-descriptor
         append f 1 => bad-descriptor
         size f 0 => bad-descriptor",
    ),
    (
        "a folder cannot be made by opening it",
        "open f /workspace d create folder read => invalid
         open f /workspace d truncate folder read => invalid
         open f /workspace d new folder read => invalid
         list /workspace => ",
    ),
    (
        "a file has no trailing slash",
        "open f /workspace a create write => ok
         open g /workspace a/ read => not-directory
         stat /workspace a/ => not-directory
         unlink /workspace a/ => not-directory
         rename /workspace a/ /workspace b => not-directory
         list /workspace => a",
    ),
    (
        "a folder may have one",
        "mkdir /workspace d/ => ok
         stat /workspace d/ => folder
         open f /workspace d/ folder read => ok
         rename /workspace d/ /workspace e => ok
         rmdir /workspace e/ => ok",
    ),
    (
        "a rename replaces a file",
        "open f /workspace a create write read => ok
         write f 0 one => 3 bytes
         open g /workspace b create write read => ok
         write g 0 two => 3 bytes
         rename /workspace a /workspace b => ok
         list /workspace => b
         cat /workspace b => \"one\"
         read g 0 9 => \"two\"",
    ),
    (
        "a rename to itself changes nothing",
        "open f /workspace a create write => ok
         rename /workspace a /workspace a => ok
         link /workspace a /workspace b => ok
         rename /workspace a /workspace b => ok
         list /workspace => a b",
    ),
    (
        "a rename replaces an empty folder by a folder and nothing else",
        "mkdir /workspace d => ok
         mkdir /workspace e => ok
         rename /workspace d /workspace e => ok
         mkdir /workspace d => ok
         mkdir /workspace e/x => ok
         rename /workspace d /workspace e => not-empty
         open f /workspace a create write => ok
         rename /workspace a /workspace d => is-directory
         rename /workspace d /workspace a => not-directory
         list /workspace => a d:folder e:folder",
    ),
    (
        "a folder cannot go into itself",
        "mkdir /workspace d => ok
         rename /workspace d /workspace d/e => invalid",
    ),
    (
        "what is in a renamed folder comes along",
        "mkdir /workspace d => ok
         open f /workspace d/a create write => ok
         open o /workspace d folder read => ok
         rename /workspace d /workspace e => ok
         list o => a
         stat /workspace e/a => file of 0 bytes, 1 links",
    ),
    (
        "only empty folders are removed",
        "mkdir /workspace d => ok
         mkdir /workspace d/e => ok
         rmdir /workspace d => not-empty
         rmdir /workspace d/e => ok
         rmdir /workspace d => ok
         list /workspace => ",
    ),
    (
        "a removed file lives until it is closed",
        "open f /workspace a create write read => ok
         write f 0 hello => 5 bytes
         unlink /workspace a => ok
         list /workspace => 
         read f 0 9 => \"hello\"
         write f 5 ! => 1 bytes
         fstat f => file of 6 bytes, 0 links",
    ),
    (
        "a removed folder is empty for ever",
        "mkdir /workspace d => ok
         open o /workspace d folder read => ok
         rmdir /workspace d => ok
         list o => 
         open f o a create write => no-entry
         mkdir o e => no-entry",
    ),
    (
        "two names of one file",
        "open f /workspace a create write => ok
         link /workspace a /workspace b => ok
         write f 0 hello => 5 bytes
         stat /workspace b => file of 5 bytes, 2 links
         unlink /workspace a => ok
         stat /workspace b => file of 5 bytes, 1 links",
    ),
    (
        "what cannot be linked",
        "open f /workspace a create write => ok
         mkdir /workspace d => ok
         link /workspace a /workspace d => exist
         link /workspace a /workspace a => exist
         link /workspace d /workspace e => not-permitted
         link /workspace a /workspace x/y => no-entry
         link-followed /workspace a /workspace b => invalid",
    ),
    (
        "a link leads to its target",
        "open f /workspace a create write => ok
         write f 0 hello => 5 bytes
         symlink /workspace a l => ok
         readlink /workspace l => a
         stat /workspace l => file of 5 bytes, 1 links
         stat /workspace l nofollow => link
         cat /workspace l => \"hello\"
         list /workspace => a l:link",
    ),
    (
        "a link that is not followed is not opened",
        "open f /workspace a create write => ok
         symlink /workspace a l => ok
         open g /workspace l read nofollow => loop
         open g /workspace l create write nofollow => loop
         symlink /workspace . d => ok
         open g /workspace d folder read nofollow => loop
         open g /workspace d/a read nofollow => ok",
    ),
    (
        "a dangling link",
        "symlink /workspace nowhere l => ok
         open f /workspace l read => no-entry
         stat /workspace l => no-entry
         stat /workspace l nofollow => link
         open f /workspace l create new write => exist
         symlink /workspace x l => exist
         open f /workspace l create write => ok
         list /workspace => l:link nowhere",
    ),
    (
        "a link that leads to itself",
        "symlink /workspace l l => ok
         open f /workspace l read => loop
         stat /workspace l => loop
         symlink /workspace b a => ok
         symlink /workspace a b => ok
         open f /workspace a create write => loop
         open f /workspace a/x read => loop
         unlink /workspace l => ok",
    ),
    (
        "a link in the middle of a path",
        "mkdir /workspace d => ok
         symlink /workspace d l => ok
         open f /workspace l/a create write => ok
         stat /workspace d/a => file of 0 bytes, 1 links
         list /workspace => d:folder l:link
         unlink /workspace l/a => ok
         rmdir /workspace l => not-directory
         unlink /workspace l => ok
         list /workspace => d:folder",
    ),
    (
        "a link below a folder leads up to its neighbour",
        "mkdir /workspace d => ok
         open f /workspace a create write => ok
         symlink /workspace ../a d/l => ok
         stat /workspace d/l => file of 0 bytes, 1 links",
    ),
    (
        "a renamed link is still a link",
        "open f /workspace a create write => ok
         symlink /workspace a l => ok
         rename /workspace l /workspace m => ok
         list /workspace => a m:link
         unlink /workspace m => ok
         list /workspace => a",
    ),
    (
        "only links can be read as links",
        "open f /workspace a create write => ok
         readlink /workspace a => invalid
         readlink /workspace . => invalid",
    ),
    (
        "no path at all",
        "open f /workspace  read => no-entry
         mkdir /workspace  => no-entry
         stat /workspace  => no-entry
         unlink /workspace  => no-entry",
    ),
    (
        "the folder itself",
        "open f /workspace . folder read => ok
         same f /workspace => true
         hash f /workspace => true
         mkdir /workspace . => exist
         stat /workspace . => folder
         mkdir /workspace d => ok
         open f /workspace ./d/././ folder read => ok
         same f /workspace => false
         hash f /workspace => false",
    ),
    (
        "up and down inside",
        "mkdir /workspace d => ok
         open f /workspace a create write => ok
         stat /workspace d/../a => file of 0 bytes, 1 links
         stat /workspace d/.. => folder
         stat /workspace x/../a => no-entry
         stat /workspace a/../a => not-directory",
    ),
    (
        "up and out",
        "stat /workspace .. => not-permitted
         open f /workspace .. folder read => not-permitted
         open f /workspace ../x create write => not-permitted
         open f /workspace d/../../x read => no-entry
         mkdir /workspace d => ok
         open f /workspace d/../../x read => not-permitted
         mkdir /workspace ../x => not-permitted
         rmdir /workspace ../x => not-permitted
         unlink /workspace ../x => not-permitted
         symlink /workspace a ../x => not-permitted
         touch /workspace ../x => not-permitted
         open a /workspace a create write => ok
         rename /workspace a /workspace ../x => not-permitted
         rename /workspace ../x /workspace x => not-permitted
         link /workspace a /workspace ../x => not-permitted
         link /workspace ../x /workspace x => not-permitted
         open o /workspace d folder read => ok
         open f o .. folder read => not-permitted
         open f o ../a read => not-permitted",
    ),
    (
        "absolute paths lead out",
        "open f /workspace / folder read => not-permitted
         open f /workspace /etc/passwd read => not-permitted
         open f /workspace /workspace/a create write => not-permitted
         open f /workspace /dev/null write => not-permitted
         open f /workspace /proc/self/mem read => not-permitted
         stat /workspace /etc => not-permitted
         mkdir /workspace /x => not-permitted
         symlink /workspace /etc/passwd l => not-permitted
         list /workspace => ",
    ),
    (
        "links that lead out are kept and not followed",
        "symlink /workspace ../../../../../etc l => ok
         open f /workspace l/passwd read => not-permitted
         open f /workspace l folder read => not-permitted
         stat /workspace l => not-permitted
         stat /workspace l nofollow => link
         open f /workspace l/x create write => not-permitted
         symlink /workspace ../x m => ok
         open f /workspace m create write => not-permitted
         unlink /workspace l => ok",
    ),
    (
        "device names are names",
        "open f /workspace CON create write => ok
         open f /workspace null create write => ok
         open f /workspace C:\\x create write => ok
         list /workspace => C:\\x CON null",
    ),
    (
        "names may hold anything but slashes and zeroes",
        "open f /workspace a\\nb create write => ok
         open f /workspace \\e[31m create write => ok
         open f /workspace \\_ create write => ok
         open f /workspace ü\u{202e} create write => ok
         count /workspace => 4
         open f /workspace a\\0b create write => invalid
         mkdir /workspace a\\0b => invalid
         stat /workspace \\0 => invalid",
    ),
    (
        "names may be 255 bytes long",
        "open f /workspace {long} create write => name-too-long
         mkdir /workspace {long} => name-too-long
         stat /workspace {long} => name-too-long
         symlink /workspace a {long} => name-too-long",
    ),
    (
        "a folder is listed with the kinds of what is in it",
        "list /workspace => 
         open f /workspace a create write => ok
         mkdir /workspace d => ok
         symlink /workspace a l => ok
         list /workspace => a d:folder l:link
         mkdir /workspace d/e => ok
         list /workspace => a d:folder l:link
         open o /workspace d folder read => ok
         list o => e:folder
         many 500 mkdir o #.d => 500 ok
         count o => 501",
    ),
    (
        "flags are those that a file was opened with",
        "open f /workspace a create write => ok
         flags f => DescriptorFlags(WRITE)
         open f /workspace a read => ok
         flags f => DescriptorFlags(READ)
         open f /workspace a read write => ok
         flags f => DescriptorFlags(READ | WRITE)
         type f => file
         type /workspace => folder",
    ),
    (
        "a file that is open for reading is not written",
        "open w /workspace a create write => ok
         write w 0 hello => 5 bytes
         open f /workspace a read => ok
         write f 0 x => bad-descriptor
         stream f 0 1 => bad-descriptor
         append f 1 => bad-descriptor
         size f 0 => invalid
         cat /workspace a => \"hello\"",
    ),
    (
        "a file that is open for writing is not read",
        "open f /workspace a create write => ok
         read f 0 1 => bad-descriptor
         drain f 0 => bad-descriptor",
    ),
    (
        "synchronous writes are not to be had",
        "open f /workspace a create write sync => unsupported
         open f /workspace a create write => ok
         sync f => ok
         sync /workspace => ok",
    ),
    (
        "streams write and read in order",
        "open f /workspace a create write read => ok
         stream f 10 100000 => ok
         fstat f => file of 100010 bytes, 1 links
         drain f 0 => 100010 bytes
         drain f 100000 => 10 bytes
         drain f 200000 => 0 bytes
         poll f 100010 200000 => ok
         append f 5 => ok
         fstat f => file of 300015 bytes, 1 links",
    ),
    (
        "one file goes into another",
        "open f /workspace a create write read => ok
         write f 0 hello => 5 bytes
         open g /workspace b create write read => ok
         2: splice f g 1 5 => 5 bytes
         2: zeroes g 6 2 => ok
         2: read g 0 9 => \"\\0hello\\0\\0\"
         3: splice f g 1 5 => ok
         3: read g 0 9 => \"\\0hello\"",
    ),
    (
        "offsets beyond what a file may be",
        "open f /workspace a create write read => ok
         write f 9223372036854775807 x => file-too-large
         write f 18446744073709551615 x => file-too-large
         size f 18446744073709551615 => file-too-large
         read f 18446744073709551615 1 => invalid
         fstat f => file of 0 bytes, 1 links",
    ),
    (
        "times can be set",
        "open f /workspace a create write => ok
         symlink /workspace a l => ok
         touch /workspace a => 1000000000.5
         touch /workspace l nofollow => 1000000000.5
         stat /workspace l nofollow => link",
    ),
];
