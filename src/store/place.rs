//! Checks the file system of a database: whether it is on a network, whether files are mounts, and its free space.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::error::{Result, StoreError};
use super::files::with_suffix;

/// Network file systems by their `statfs` magic numbers, from Linux's `magic.h` and the headers of other drivers. SQLite's
/// advice: <https://www.sqlite.org/useovernet.html>.
const NETWORK: [(u64, &str); 16] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xfe53_4d42, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0x0102_1997, "9P"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x564c, "NCP"),
    (0x00c3_6400, "Ceph"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0x786f_4256, "a shared folder of VirtualBox"),
];

/// The magic number of all FUSE file systems. Only `fuseblk` is surely local; every other type counts as a network.
const FUSE: u64 = 0x6573_5546;

/// Returns the network file system of a folder, or `None` if it is local or unknown.
pub(super) fn network(folder: &Path) -> Option<String> {
    let magic = magic(folder)?;
    let mount = || {
        let device = fs::metadata(folder).ok()?.dev();
        let mounts = fs::read("/proc/self/mountinfo").ok()?;
        mounted_as(&mounts, device)
    };
    name(magic, mount)
}

fn name(magic: u64, mount: impl FnOnce() -> Option<String>) -> Option<String> {
    if magic == FUSE {
        return match mount() {
            Some(kind) if kind == "fuseblk" => None,
            Some(kind) => Some(kind),
            None => Some("fuse".to_owned()),
        };
    }
    let known = NETWORK.iter().find(|(known, _)| *known == magic);
    known.map(|(_, name)| (*name).to_owned())
}

/// Finds a device's file system type in `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
fn mounted_as(mounts: &[u8], device: u64) -> Option<String> {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let device = format!("{major}:{minor}");
    let mut found = None;
    for line in mounts.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b' ');
        if fields.nth(2) != Some(device.as_bytes()) {
            continue;
        }
        // A dash ends the optional fields.
        if fields.any(|field| field == b"-") {
            found = fields.next();
        }
    }
    found.map(|kind| String::from_utf8_lossy(kind).into_owned())
}

#[cfg(target_os = "linux")]
fn magic(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statfs(folder).ok()?;
    // The field's type depends on the platform; magic numbers have 32 bits.
    Some(stat.f_type as u64 & 0xffff_ffff)
}

#[cfg(not(target_os = "linux"))]
fn magic(_: &Path) -> Option<u64> {
    None
}

/// Refuses a database, or a WAL, `-shm` or lock file of it, that is a mount of its own. With a mounted file, as in some
/// containers, the WAL and the lock would lie beside the mount, not beside the real file.
pub(super) fn check_mounts(database: &Path) -> Result<()> {
    let beside = ["-wal", "-shm", ".lock"].map(|suffix| with_suffix(database, suffix));
    let mounted = std::iter::once(database.to_owned())
        .chain(beside)
        .find(|path| is_mount(path));
    mounted.map_or(Ok(()), |path| Err(StoreError::Mounted(path)))
}

/// Returns true if the path is a mount point (`STATX_ATTR_MOUNT_ROOT`, statx(2)). Linux before 5.8 cannot tell.
#[cfg(target_os = "linux")]
fn is_mount(path: &Path) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty())
        .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(not(target_os = "linux"))]
fn is_mount(_: &Path) -> bool {
    false
}

/// Returns the free bytes for this user on a file's disk.
pub(super) fn free_space(file: &Path) -> Option<u64> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().as_bytes().is_empty())?;
    let stat = rustix::fs::statvfs(folder).ok()?;
    // Unlimited file systems report zeros.
    (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_31_file_systems_of_other_machines_are_known() {
        let never = || panic!("only FUSE needs the mount table");
        for (magic, expected) in [
            (0x6969, Some("NFS")),
            (0xff53_4d42, Some("CIFS")),
            (0x0102_1997, Some("9P")),
            (0xef53, None),
            (0x5846_5342, None),
            (0x0102_1994, None),
            (0x9123_683e, None),
            (0x794c_7630, None),
        ] {
            assert_eq!(name(magic, never).as_deref(), expected, "{magic:x}");
        }
        let fuse = |kind: Option<&str>| name(FUSE, || kind.map(str::to_owned));
        assert_eq!(fuse(Some("fuse.sshfs")).as_deref(), Some("fuse.sshfs"));
        assert_eq!(fuse(Some("fuseblk")), None);
        assert_eq!(fuse(None).as_deref(), Some("fuse"));
    }

    #[test]
    fn a_mount_is_found_by_its_device() {
        let mounts = b"22 1 254:0 / / rw,noatime shared:1 - ext4 /dev/root rw\n\
            36 22 0:44 / /mnt/far\\040away rw shared:7 master:1 - fuse.sshfs me@far:/ rw,user_id=0\n\
            40 22 8:17 / /mnt/stick rw - fuseblk /dev/sdb1 rw\n";
        let device = |major, minor| mounted_as(mounts, rustix::fs::makedev(major, minor));
        assert_eq!(device(254, 0).as_deref(), Some("ext4"));
        assert_eq!(device(0, 44).as_deref(), Some("fuse.sshfs"));
        assert_eq!(device(8, 17).as_deref(), Some("fuseblk"));
        assert_eq!(device(8, 1), None);
    }
}
