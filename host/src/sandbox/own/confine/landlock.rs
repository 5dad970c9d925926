//! Which files the process may touch, whoever asks for them: its workspaces, its scratch folder, what
//! the line grants its stations, and the code that was handed to it. Nothing may be executed, no port
//! connected or bound, no process outside signalled.

use super::Reach;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    PathBeneath, PathFd, RestrictionStatus, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    RulesetStatus, Scope,
};
use std::path::Path;

/// Links of folders and devices have no place here.
fn changing() -> BitFlags<AccessFs> {
    AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::Refer
        | AccessFs::RemoveDir
        | AccessFs::RemoveFile
        | AccessFs::MakeDir
        | AccessFs::MakeReg
        | AccessFs::MakeSym
}

pub(super) fn restrict(reach: &Reach) -> Result<String, String> {
    let status = enforce(reach)?;
    match (&status.ruleset, &status.landlock) {
        (RulesetStatus::NotEnforced, _) | (_, LandlockStatus::NotEnabled) => {
            Err("the kernel has it and it is not enabled".into())
        }
        (_, LandlockStatus::Available { effective_abi, .. }) => {
            Ok(format!("abi {}", *effective_abi as i32))
        }
        _ => Err("the kernel has none".into()),
    }
}

fn enforce(reach: &Reach) -> Result<RestrictionStatus, String> {
    let failed = |error: landlock::RulesetError| error.to_string();
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut rules = Ruleset::default()
        // The first version lets nobody move a file to another folder, which stations do.
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Refer)
        .map_err(|_| "the kernel has none, or not its second version".to_string())?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V6))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI::V6)))
        .and_then(|rules| rules.scope(Scope::from_all(ABI::V6)))
        .and_then(Ruleset::create)
        .map_err(failed)?;
    let device = Path::new("/dev/null");
    let named = reach.write.iter().map(|path| (path.as_path(), changing()));
    let named = named.chain(reach.read.iter().map(|path| (path.as_path(), read)));
    for (path, access) in named.chain([(device, AccessFs::ReadFile.into())]) {
        // What is not there stays closed; whoever needs it says so in better words.
        let Ok(open) = PathFd::new(path) else {
            continue;
        };
        let access = match path.is_dir() {
            true => access,
            false => access & AccessFs::from_file(ABI::V6),
        };
        rules = rules
            .add_rule(PathBeneath::new(open, access))
            .map_err(failed)?;
    }
    for file in &reach.again {
        rules = rules
            .add_rule(PathBeneath::new(file, AccessFs::ReadFile))
            .map_err(failed)?;
    }
    rules.restrict_self().map_err(failed)
}
