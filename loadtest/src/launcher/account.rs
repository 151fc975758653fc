//! PostgreSQL refuses to run as root: when this process is root, its server runs as `postgres`, else as `nobody`.

use std::{
    fs::{self, Metadata, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown},
    path::{Path, PathBuf},
};

use nix::unistd::{Uid, User, geteuid};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// `None`: this process is not root and needs no other account.
    pub(crate) fn for_postgres() -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        let named = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
        let ids = named.map(|user| (user.uid, user.gid.as_raw()));
        let (uid, gid) = ids.filter(|(uid, _)| *uid != Uid::from_raw(0)).unwrap_or((Uid::from_raw(65534), 65534));
        Some(Self { uid: uid.as_raw(), gid })
    }

    /// Whether this account may enter all folders above the path, and the path itself.
    pub(crate) fn can_reach(self, path: &Path) -> bool {
        path.ancestors().all(|part| fs::metadata(part).is_ok_and(|metadata| self.may_execute(&metadata)))
    }

    fn may_execute(self, metadata: &Metadata) -> bool {
        let bit = match metadata {
            m if m.uid() == self.uid => 0o100,
            m if m.gid() == self.gid => 0o010,
            _ => 0o001,
        };
        metadata.mode() & bit != 0
    }

    /// Gives the folder and all in it to this account.
    pub(crate) fn own(self, path: &Path) -> io::Result<()> {
        lchown(path, Some(self.uid), Some(self.gid))?;
        if fs::symlink_metadata(path)?.is_dir() {
            for entry in fs::read_dir(path)? {
                self.own(&entry?.path())?;
            }
        }
        Ok(())
    }
}

/// Makes a folder that the account, if any, can pass through but not list.
pub(crate) fn create_passable(folder: &Path, account: Option<Account>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    if account.is_some() {
        let mode = fs::metadata(folder)?.mode();
        fs::set_permissions(folder, Permissions::from_mode(mode | 0o111))?;
    }
    Ok(())
}

/// A folder for temporary data that the account, if any, can reach.
pub(crate) fn temporary_root(account: Option<Account>) -> PathBuf {
    let candidates = [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")];
    let reachable = candidates.into_iter().find(|folder| account.is_none_or(|account| account.can_reach(folder)));
    reachable.unwrap_or_else(std::env::temp_dir)
}
