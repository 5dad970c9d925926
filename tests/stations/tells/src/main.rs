//! A program that tells what it sees, and does what its arguments say.

use std::io::{Read as _, Write as _};
use std::{env, fs, io, process};

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match words[..] {
        ["exit", code] => {
            println!("half");
            eprintln!("exit {code} was asked for");
            process::exit(code.parse().expect("a number"));
        }
        ["echo"] => {
            io::copy(&mut io::stdin(), &mut io::stdout()).expect("stdin goes to stdout");
        }
        ["flood"] => loop {
            io::stdout()
                .write_all(&[b'x'; 4096])
                .expect("stdout is open");
        },
        // The body is what goes to `ANDON_OUTPUT`.
        ["say"] => {
            fs::create_dir_all("/workspace/kept").expect("the workspace is there");
            fs::write("/workspace/kept/a.txt", "from a file\n").expect("it can be written");
            let file = env::var("ANDON_OUTPUT").expect("it is always set");
            let said = io::read_to_string(io::stdin()).expect("text");
            fs::write(file, said).expect("what it names can be written");
            print!("this is no output");
        }
        ["read", file] => match fs::read_to_string(file) {
            Ok(text) => print!("{text}"),
            Err(error) => print!("{:?}", error.kind()),
        },
        _ => tell(&arguments),
    }
}

fn tell(arguments: &[String]) {
    println!("arguments {arguments:?}");
    let mut variables: Vec<_> = env::vars().collect();
    variables.sort();
    for (name, value) in variables {
        println!("{name}={value}");
    }
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).expect("stdin ends");
    let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    println!("{} bytes, sum {sum}", bytes.len());
    println!("in {}", env::current_dir().expect("there is one").display());
    for folder in ["/", "/etc", "/home", "/proc", "/tmp", "..", "/workspace/.."] {
        match fs::read_dir(folder) {
            Ok(entries) => println!("{folder} has {} entries", entries.count()),
            Err(_) => println!("{folder} is closed"),
        }
    }
    eprintln!("told");
}
